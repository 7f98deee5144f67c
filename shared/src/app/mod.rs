//! The context of a handler: everything that a function prepares at its start. Clones are cheap.

mod password_check;
mod session;
mod tokens;

use std::sync::Arc;
use std::time::SystemTime;

pub use self::tokens::Tokens;
use crate::auth::key_ring::KeyRing;
use crate::clock::Clock;
use crate::db::Database;
use crate::secrets::{Keys, Secrets};
use crate::settings::Settings;

/// The database, the settings, the clock, and the signing keys of a function. `K` is [`NoKeys`](crate::secrets::NoKeys)
/// for a function that handles no tokens.
pub struct App<K: Keys = KeyRing>(Arc<Parts<K>>);

struct Parts<K> {
    database: Database,
    settings: Settings,
    secrets: Arc<Secrets<K>>,
    clock: Arc<dyn Clock>,
}

impl<K: Keys> Clone for App<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Keys> App<K> {
    /// Makes the context. `connections` is the number of requests that the process serves at a time.
    pub fn new(settings: Settings, secrets: Arc<Secrets<K>>, clock: Arc<dyn Clock>, connections: usize) -> Self {
        let database = Database::new(Arc::clone(&secrets) as _, Arc::clone(&clock), connections);
        Self(Arc::new(Parts { database, settings, secrets, clock }))
    }

    /// Returns the database.
    pub fn db(&self) -> &Database {
        &self.0.database
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the current time.
    pub fn now(&self) -> SystemTime {
        self.0.clock.now()
    }
}
