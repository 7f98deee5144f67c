//! The context of a handler: everything that a function prepares at its start. Clones are cheap.

mod mail;
mod operator;
mod password_check;
mod registration;
mod session;
mod tokens;

use std::sync::Arc;
use std::time::SystemTime;

pub use self::mail::{CheckedCode, CodeRequested};
pub use self::operator::Operator;
use self::registration::ThrottledNetworks;
pub use self::tokens::{SessionStart, Tokens};
use crate::auth::token_cache::TokenCache;
use crate::auth::verifying_keys::VerifyingKeys;
use crate::clock::Clock;
use crate::db::{Database, PoolSettings};
use crate::domain::{Device, Network};
use crate::http::Request;
use crate::secrets::{Keys, Secrets};
use crate::settings::Settings;

/// The database, the settings, the clock, and the keys of a function: [`VerifyingKeys`] for a function that verifies access
/// tokens, [`KeyRing`](crate::auth::key_ring::KeyRing) for one that issues them, and [`NoKeys`](crate::secrets::NoKeys) for
/// one that does neither.
pub struct App<K: Keys = VerifyingKeys>(Arc<Parts<K>>);

struct Parts<K> {
    database: Database,
    settings: Settings,
    secrets: Arc<Secrets<K>>,
    clock: Arc<dyn Clock>,
    throttled_networks: ThrottledNetworks,
    tokens: TokenCache<K>,
}

impl<K: Keys> Clone for App<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Keys> App<K> {
    /// Makes the context.
    pub fn new(settings: Settings, secrets: Arc<Secrets<K>>, clock: Arc<dyn Clock>, pool: PoolSettings) -> Self {
        let database = Database::new(secrets.credentials(), Arc::clone(&clock), pool);
        Self::with_database(settings, database, secrets, clock)
    }

    /// Makes the context with a database whose credentials are those of `secrets`.
    pub(crate) fn with_database(
        settings: Settings,
        database: Database,
        secrets: Arc<Secrets<K>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Parts {
            database,
            settings,
            secrets,
            clock,
            throttled_networks: ThrottledNetworks::default(),
            tokens: TokenCache::default(),
        }))
    }

    /// Returns the database.
    pub fn db(&self) -> &Database {
        &self.0.database
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the network of the client of a request.
    pub fn network(&self, request: &Request) -> Option<Network> {
        request.network(&self.settings().trusted_proxies)
    }

    /// Returns the device that sent a request.
    pub fn device(&self, request: &Request) -> Device {
        request.device(&self.settings().trusted_proxies)
    }

    /// Completes what a request has left to do after its response was sent.
    pub(crate) async fn settle(&self) {
        self.0.secrets.settle().await;
    }

    /// Returns the current time.
    pub fn now(&self) -> SystemTime {
        self.0.clock.now()
    }
}
