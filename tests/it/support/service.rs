//! The whole service in this process: every function behind its route, each request through `runtime::respond`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use shared::App;
use shared::auth::access_token::TokenPolicy;
use shared::auth::key_ring::KeyRing;
use shared::clock::Clock;
use shared::domain::Quota;
use shared::settings::Settings;
use shared::db::admin::roles::GRANTS;
use shared::domain::PasswordPolicy;
use shared::http::Route;
use shared::secrets::{NoKeys, Secrets};

use super::answer::Answer;
use super::endpoints::{Apps, answer, roles};
use super::keys::{SECRET, SECRET_ID};
use super::{Client, Database, database};

/// The functions on a database of their own, each signed in as its role, with a clock that only the test moves.
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
        let keys_of = |function: &str| {
            let keys = KeyRing::parse(ring).expect("the test's own key ring");
            Arc::new(Secrets::fixed(database.config_of(function), keys, clock.clone()).with_dialect(database.kind()))
        };
        Self::with_secrets(database.clone(), settings, keys_of, clock.clone())
    }

    /// The service with keys that may come from elsewhere.
    pub fn with_secrets(
        database: Arc<Database>,
        settings: Settings,
        secrets_of: impl Fn(&str) -> Arc<Secrets<KeyRing>>,
        clock: Arc<HandClock>,
    ) -> Arc<Self> {
        let mut apps = Apps { without_keys: HashMap::new(), with_keys: HashMap::new(), keys: secrets_of("jwks-get") };
        for role in GRANTS.iter().map(|grants| grants.role) {
            let functions: Vec<&str> = roles().filter(|(_, of)| *of == role).map(|(function, _)| function).collect();
            // Functions of one role share their connections, because all tests together would need too many.
            let Some(first) = functions.first() else { continue };
            let secrets = Secrets::fixed(database.config_of(first), NoKeys, clock.clone()).with_dialect(database.kind());
            let without_keys = App::new(settings.clone(), Arc::new(secrets), clock.clone(), 1);
            let with_keys = App::new(settings.clone(), secrets_of(first), clock.clone(), 4);
            apps.without_keys.extend(functions.iter().map(|function| (*function, without_keys.clone())));
            apps.with_keys.extend(functions.iter().map(|function| (*function, with_keys.clone())));
        }
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
        let answer = Answer::from(answer(&self.apps, route, event).await);
        answer.record(route);
        answer
    }
}
