//! The whole service in this process: every function behind its route, each request through `runtime::respond`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use shared::App;
use shared::auth::access_token::TokenPolicy;
use shared::auth::key_ring::KeyRing;
use shared::clock::Clock;
use shared::config::{Quota, Settings};
use shared::domain::PasswordPolicy;
use shared::http::Route;
use shared::secrets::{NoKeys, Secrets};

use super::answer::Answer;
use super::endpoints::{Apps, answer};
use super::forged::{SECRET, SECRET_ID};
use super::{Client, Database, database};

/// The functions on a database of their own, with a clock that only the test moves.
pub struct Service {
    pub database: Arc<Database>,
    pub clock: Arc<HandClock>,
    apps: Apps,
}

/// A clock that stands still until it is moved.
pub struct HandClock(Mutex<SystemTime>);

impl Clock for HandClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().expect("nothing panics with the clock in its hand")
    }
}

impl Default for HandClock {
    fn default() -> Self {
        Self(Mutex::new(SystemTime::UNIX_EPOCH + START))
    }
}

impl HandClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().expect("nothing panics with the clock in its hand") += by;
    }
}

/// 2026-01-01T00:00:00Z.
const START: Duration = Duration::from_secs(1_767_225_600);

/// As deployed, but for bcrypt's cost: its lowest, so that a test waits for what it tests.
pub fn settings() -> Settings {
    Settings {
        bcrypt_cost: 4,
        password_policy: PasswordPolicy::default(),
        tokens: TokenPolicy {
            issuer: "keyhold".to_owned(),
            audience: "keyhold".to_owned(),
            lifetime: Duration::from_secs(3600),
        },
        refresh_lifetime: Duration::from_secs(30 * 24 * 3600),
        quota: Quota { keys: 1000, bytes: 10 * 1024 * 1024 },
    }
}

/// The service on an empty database of PostgreSQL 18.
pub fn in_process() -> Arc<Service> {
    Service::new(database(), settings())
}

impl Service {
    /// The service on a database, with settings of the test's choice.
    pub fn new(database: impl Into<Arc<Database>>, settings: Settings) -> Arc<Self> {
        let ring = format!(r#"{{"keys":[{{"kid":"{SECRET_ID}","secret":"{SECRET}"}}]}}"#);
        Self::with(database.into(), settings, &ring)
    }

    fn with(database: Arc<Database>, settings: Settings, ring: &str) -> Arc<Self> {
        let clock = Arc::new(HandClock::default());
        let keys = KeyRing::parse(ring).expect("the test's own key ring");
        let secrets = Arc::new(Secrets::fixed(database.config(), keys, clock.clone()));
        Self::with_secrets(database, settings, secrets, clock)
    }

    /// The service with keys that may come from elsewhere.
    pub fn with_secrets(
        database: Arc<Database>,
        settings: Settings,
        secrets: Arc<Secrets<KeyRing>>,
        clock: Arc<HandClock>,
    ) -> Arc<Self> {
        let without_keys = Arc::new(Secrets::fixed(database.config(), NoKeys, clock.clone()));
        let apps = Apps {
            without_keys: App::new(settings.clone(), without_keys, clock.clone(), 1),
            keys: Arc::clone(&secrets),
            with_keys: App::new(settings, secrets, clock.clone(), 4),
            nothing: (),
        };
        Arc::new(Self { apps, database, clock })
    }

    /// The service with other settings on the same database, its clock at the start again.
    pub fn with_settings(&self, settings: Settings) -> Arc<Self> {
        Self::new(Arc::clone(&self.database), settings)
    }

    /// The service with another key ring on the same database, its clock at the start again.
    pub fn with_ring(&self, ring: &str) -> Arc<Self> {
        Self::with(Arc::clone(&self.database), settings(), ring)
    }

    /// Somebody who has not signed in.
    pub fn anybody(self: &Arc<Self>) -> Client {
        Client::new(Arc::clone(self))
    }

    /// Hands an event to the function of a route.
    pub async fn invoke(&self, route: &Route, event: &str) -> Answer {
        let answer = Answer::from(answer(self.apps.clone(), route, event).await);
        answer.record(route);
        answer
    }
}
