//! The service in this process: every function behind its route. Each request goes through `runtime::respond`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use shared::App;
use shared::auth::access_token::TokenPolicy;
use shared::auth::admin_token::AdminToken;
use shared::auth::digest_keys::DigestKeys;
use shared::auth::key_ring::KeyRing;
use shared::auth::verifying_keys::VerifyingKeys;
use shared::aws::AwsCredentials;
use shared::clock::Clock;
use shared::db::PoolSettings;
use shared::db::admin::roles::GRANTS;
use shared::domain::{PasswordPolicy, Quota, SessionPolicy, TrustedProxies};
use shared::http::Route;
use shared::secrets::{NoKeys, Secrets, SecretsError};
use shared::settings::{Limits, Operators, Settings};
use tokio_postgres::Config;

use super::endpoints::{Apps, invoke, roles};
use super::keys::{ADMIN_TOKEN, KEY_ID, SECRET};
use super::response::Response;
use super::{Client, Database, database};

/// The functions on their own database, each signed in as its role, with a clock that only the test advances.
pub struct Service {
    pub database: Arc<Database>,
    pub clock: Arc<ManualClock>,
    apps: Apps,
}

/// The secrets of a function that signs, of one that makes digests, and of one that verifies.
#[derive(Clone)]
pub struct KeyedSecrets {
    pub signing: Arc<Secrets<KeyRing>>,
    pub digests: Arc<Secrets<DigestKeys>>,
    pub verifying: Arc<Secrets<VerifyingKeys>>,
}

impl KeyedSecrets {
    /// Loads the secrets of an environment. `keys` are the ARNs of the keys that sign and of those that verify.
    pub async fn from_secrets_manager(
        aws: impl Fn() -> AwsCredentials,
        database: &str,
        keys: [&str; 2],
        clock: &Arc<ManualClock>,
    ) -> Result<Self, SecretsError> {
        let [signing, verifying] = keys.map(str::to_owned);
        // The tests of rotations do not use these.
        let digests = DigestKeys::parse(SECRET).expect("the test's own key");
        let database = || database.to_owned();
        Ok(Self {
            signing: Secrets::from_secrets_manager(aws(), database(), signing, clock.clone()).await?.into(),
            digests: Secrets::fixed(Config::new(), digests, clock.clone()).into(),
            verifying: Secrets::from_secrets_manager(aws(), database(), verifying, clock.clone()).await?.into(),
        })
    }

    /// Lets the fetches end that a request has started.
    pub async fn settle(&self) {
        self.signing.settle().await;
        self.verifying.settle().await;
    }
}

/// A clock that only `advance` moves.
pub struct ManualClock(Mutex<SystemTime>);

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().expect("no panic while the clock is locked")
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self(Mutex::new(SystemTime::UNIX_EPOCH + START))
    }
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().expect("no panic while the clock is locked") += by;
    }
}

/// 2026-01-01T00:00:00Z.
#[expect(clippy::duration_suboptimal_units, reason = "Unix time is in seconds")]
const START: Duration = Duration::from_secs(1_767_225_600);

/// The default settings with the lowest cost of bcrypt, so that tests are fast.
pub fn settings() -> Settings {
    Settings {
        bcrypt_cost: 4,
        password_policy: PasswordPolicy::default(),
        tokens: TokenPolicy {
            issuer: "keyhold".to_owned(),
            audience: "keyhold".to_owned(),
            lifetime: Duration::from_hours(1),
        },
        sessions: SessionPolicy {
            idle_lifetime: Duration::from_hours(30 * 24),
            max_lifetime: Duration::from_hours(180 * 24),
            retry_window: Duration::from_mins(2),
        },
        registration_is_open: true,
        requires_verified_email: false,
        operators: Operators { account_id: Some("123456789012".to_owned()), token: AdminToken::new(ADMIN_TOKEN).ok() },
        mail: None,
        // The tests of a limit set it.
        limits: Limits { failed_sign_ins: 0, registrations: 0, mails: 0, mails_for_account: 0 },
        trusted_proxies: TrustedProxies::default(),
        quota: Quota { keys: 1000, bytes: 10 * 1024 * 1024 },
    }
}

/// The service on an empty database of PostgreSQL 18.
pub fn in_process() -> Arc<Service> {
    Service::new(database(), settings())
}

/// Returns the settings of a pool as functions have them.
pub fn pool(connections: usize) -> PoolSettings {
    PoolSettings { connections, ..PoolSettings::default() }
}

impl Service {
    /// The service on a database with the given settings.
    pub fn new(database: impl Into<Arc<Database>>, settings: Settings) -> Arc<Self> {
        let ring = format!(r#"{{"keys":[{{"kid":"{KEY_ID}","secret":"{SECRET}"}}]}}"#);
        Self::with(database.into(), settings, &ring)
    }

    fn with(database: Arc<Database>, settings: Settings, ring: &str) -> Arc<Self> {
        let clock = Arc::new(ManualClock::default());
        let secrets_of = |function: &str| {
            let (config, dialect) = (|| database.config_of(function), database.dialect());
            let signing = KeyRing::parse(ring).expect("the test's own key ring");
            let digests = DigestKeys::parse(ring).expect("the test's own key ring");
            let verifying = VerifyingKeys::parse(ring).expect("the test's own key ring");
            KeyedSecrets {
                signing: Arc::new(Secrets::fixed(config(), signing, clock.clone()).with_dialect(dialect)),
                digests: Arc::new(Secrets::fixed(config(), digests, clock.clone()).with_dialect(dialect)),
                verifying: Arc::new(Secrets::fixed(config(), verifying, clock.clone()).with_dialect(dialect)),
            }
        };
        Self::with_secrets(database.clone(), settings, secrets_of, clock.clone())
    }

    /// The service with the given source of keys.
    pub fn with_secrets(
        database: Arc<Database>,
        settings: Settings,
        secrets_of: impl Fn(&str) -> KeyedSecrets,
        clock: Arc<ManualClock>,
    ) -> Arc<Self> {
        let mut apps = Apps {
            without_keys: HashMap::new(),
            verifying: HashMap::new(),
            signing: HashMap::new(),
            digests: HashMap::new(),
            public_keys: secrets_of("jwks-get").verifying,
        };
        for role in GRANTS.iter().map(|grants| grants.role) {
            let functions: Vec<&str> = roles().filter(|(_, of)| *of == role).map(|(function, _)| function).collect();
            // Functions of a role share connections, to limit the connections of all tests together.
            let Some(first) = functions.first() else { continue };
            let secrets =
                Secrets::fixed(database.config_of(first), NoKeys, clock.clone()).with_dialect(database.dialect());
            let without_keys = App::new(settings.clone(), Arc::new(secrets), clock.clone(), pool(1));
            let KeyedSecrets { signing, digests, verifying } = secrets_of(first);
            let signing = App::new(settings.clone(), signing, clock.clone(), pool(4));
            let digests = App::new(settings.clone(), digests, clock.clone(), pool(4));
            let verifying = App::new(settings.clone(), verifying, clock.clone(), pool(4));
            apps.without_keys.extend(functions.iter().map(|function| (*function, without_keys.clone())));
            apps.signing.extend(functions.iter().map(|function| (*function, signing.clone())));
            apps.digests.extend(functions.iter().map(|function| (*function, digests.clone())));
            apps.verifying.extend(functions.iter().map(|function| (*function, verifying.clone())));
        }
        Arc::new(Self { database, clock, apps })
    }

    /// The service with other settings and a new clock on the same database.
    pub fn with_settings(&self, settings: Settings) -> Arc<Self> {
        Self::new(Arc::clone(&self.database), settings)
    }

    /// The service with another key ring and a new clock on the same database.
    pub fn with_ring(&self, ring: &str) -> Arc<Self> {
        Self::with(Arc::clone(&self.database), settings(), ring)
    }

    /// A client without a token.
    pub fn anonymous(self: &Arc<Self>) -> Client {
        Client::new(Arc::clone(self))
    }

    /// Invokes the function of a route with an event.
    pub async fn invoke(&self, route: &Route, event: &str) -> Response {
        let response = Response::from(invoke(&self.apps, route, event).await);
        response.record(route);
        response
    }
}
