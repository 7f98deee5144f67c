//! Database credentials and signing keys, cached for the life of the process.
//!
//! In AWS one `BatchGetSecretValue` fetches both from Secrets Manager: at the start, when the database rejects the
//! credentials or a token names an unknown key, and when the keys are older than [`MAX_AGE`], because no request shows
//! that a key was removed. Locally `DATABASE_URL` and `JWT_SECRET` replace the secrets. With `DATABASE_AUTH` the
//! database needs no secret: each connection gets a token that is signed here.

pub mod rotation;
mod source;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio_postgres::Config;

use self::source::{DatabaseAccess, SecretSource, Sources};
use crate::auth::key_ring::{InvalidKeyRing, KeyRing};
use crate::aws::{AwsCredentials, client};
use crate::clock::Clock;
use crate::db::{Credentials, Dialect};
use crate::env::EnvError;
use crate::report::{self, BoxError};

/// Minimum time between two fetches. It limits the cost of calls that tokens with invented key ids cause.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum time for which a replaced key ring is used. [`MIN_INTERVAL`](crate::auth::key_rotation::MIN_INTERVAL) allows
/// for it.
pub const MAX_AGE: Duration = Duration::from_mins(5);

/// The signing keys of a function. They are a type parameter, so that a function without keys does not compile if it
/// handles tokens.
pub trait Keys: Sized + Send + Sync + 'static {
    /// Whether the secret is required.
    const REQUIRED: bool;

    /// Reads the text of the secret, which is empty unless it is required.
    ///
    /// # Errors
    /// The text is not a key ring.
    fn parse(text: &str) -> Result<Self, InvalidKeyRing>;
}

impl Keys for KeyRing {
    const REQUIRED: bool = true;

    fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        Self::parse(text)
    }
}

/// The keys of a function that neither issues nor verifies tokens.
pub struct NoKeys;

impl Keys for NoKeys {
    const REQUIRED: bool = false;

    fn parse(_: &str) -> Result<Self, InvalidKeyRing> {
        Ok(Self)
    }
}

/// The reason why secrets could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The secret of the signing keys is wrong.
    #[error(transparent)]
    KeyRing(#[from] InvalidKeyRing),
    /// `DATABASE_URL` is not an address.
    #[error("DATABASE_URL is not a database address such as postgres://user:password@host:5432/name")]
    DatabaseUrl(#[source] tokio_postgres::Error),
    /// The secret of the database is malformed. The parser's own message would quote it.
    #[error(
        r#"the secret of DATABASE_SECRET_ARN must be {{"username":"…","password":"…"}}, optionally with host, port, and dbname: check line {line}, column {column}"#
    )]
    DatabaseSecret {
        /// The line of the fault.
        line: usize,
        /// The column of the fault.
        column: usize,
    },
    /// Secrets Manager is unreachable or denied access.
    #[error("the secrets could not be fetched from Secrets Manager")]
    SecretsManager(#[source] BoxError),
    /// Secrets Manager returned fewer secrets than requested.
    #[error("Secrets Manager returned no text for {0}: check that it exists and that the function may read it")]
    NotReturned(String),
}

/// The current credentials and keys, and the way to newer ones.
pub struct Secrets<K> {
    /// The sources of newer secrets. `None` if they do not come from Secrets Manager.
    sources: Option<Sources>,
    current: RwLock<Current<K>>,
    refreshed_at: Mutex<Option<SystemTime>>,
    clock: Arc<dyn Clock>,
    dialect: Dialect,
}

struct Current<K> {
    database: DatabaseAccess,
    keys: Arc<K>,
    fetched_at: SystemTime,
}

impl<K: Keys> Secrets<K> {
    /// Loads the credentials and the keys from the sources that the environment names.
    ///
    /// # Errors
    /// A setting or a secret is missing, wrong, or unreachable.
    pub async fn load(clock: Arc<dyn Clock>) -> Result<Self, SecretsError> {
        let (source, dialect) = SecretSource::database_from_env()?;
        Ok(Self::load_from(Some(source), clock).await?.with_dialect(dialect))
    }

    /// Loads the keys for a function without a database.
    ///
    /// # Errors
    /// As for [`Secrets::load`].
    pub async fn load_keys(clock: Arc<dyn Clock>) -> Result<Self, SecretsError> {
        Self::load_from(None, clock).await
    }

    async fn load_from(database: Option<SecretSource>, clock: Arc<dyn Clock>) -> Result<Self, SecretsError> {
        let keys = if K::REQUIRED { Some(SecretSource::keys_from_env()?) } else { None };
        Self::open(Sources::new(database, keys, AwsCredentials::from_env)?, clock).await
    }

    /// Loads both from Secrets Manager and ignores the environment.
    ///
    /// # Errors
    /// A secret is wrong or unreachable.
    pub async fn from_secrets_manager(
        aws: AwsCredentials,
        database_arn: String,
        keys_arn: String,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SecretsError> {
        let database = Some(SecretSource::SecretsManager(database_arn));
        let keys = K::REQUIRED.then_some(SecretSource::SecretsManager(keys_arn));
        Self::open(Sources::new(database, keys, || Ok(aws))?, clock).await
    }

    async fn open(sources: Sources, clock: Arc<dyn Clock>) -> Result<Self, SecretsError> {
        let current = Current::fetch(&sources, clock.now()).await?;
        Ok(Self { sources: sources.can_change().then_some(sources), ..Self::new(current, clock) })
    }

    /// Makes secrets that do not change.
    pub fn fixed(database: Config, keys: K, clock: Arc<dyn Clock>) -> Self {
        let (database, keys) = (DatabaseAccess::Fixed(Arc::new(database)), Arc::new(keys));
        Self::new(Current { database, keys, fetched_at: clock.now() }, clock)
    }

    fn new(current: Current<K>, clock: Arc<dyn Clock>) -> Self {
        let (current, refreshed_at) = (RwLock::new(current), Mutex::new(None));
        Self { sources: None, current, refreshed_at, clock, dialect: Dialect::default() }
    }

    /// Sets the kind of server that the database is.
    #[must_use]
    pub fn with_dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// Returns the signing keys. Fetches them if they are older than [`MAX_AGE`]; if that fails, the old ones stay in
    /// use.
    pub async fn keys(&self) -> Arc<K> {
        let age = self.clock.now().duration_since(self.read().fetched_at).unwrap_or_default();
        if age >= MAX_AGE {
            self.refresh_and_log().await;
        }
        Arc::clone(&self.read().keys)
    }

    /// Fetches the signing keys, because a token names an unknown one, and returns them.
    pub async fn newest_keys(&self) -> Arc<K> {
        self.refresh_and_log().await;
        Arc::clone(&self.read().keys)
    }

    async fn refresh_and_log(&self) {
        if let Err(error) = self.refresh().await {
            // The old ones stay in use, including a key that may have been removed.
            tracing::error!("the secrets could not be refreshed: {}", report::chain(&error));
        }
    }

    /// Fetches both, unless that was done less than [`REFRESH_INTERVAL`] ago or they cannot change.
    async fn refresh(&self) -> Result<(), SecretsError> {
        let Some(sources) = &self.sources else { return Ok(()) };
        let mut refreshed_at = self.refreshed_at.lock().await;
        let now = self.clock.now();
        let passed = refreshed_at.and_then(|at| now.duration_since(at).ok());
        if passed.is_some_and(|passed| passed < REFRESH_INTERVAL) {
            return Ok(());
        }
        *refreshed_at = Some(now);
        let fetched = Current::fetch(sources, now).await?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fetched;
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Current<K>> {
        // No code panics while it holds the lock, and the value of a poisoned lock is complete.
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Keys> Current<K> {
    async fn fetch(sources: &Sources, fetched_at: SystemTime) -> Result<Self, SecretsError> {
        let texts = sources.fetch().await?;
        Ok(Self { database: texts.database_access()?, keys: Arc::new(K::parse(texts.keys()?)?), fetched_at })
    }
}

impl<K: Keys> Credentials for Secrets<K> {
    fn current(&self) -> Arc<Config> {
        let access = self.read().database.clone();
        access.config(self.clock.now())
    }

    fn renew(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.refresh_and_log())
    }

    fn dialect(&self) -> Dialect {
        self.dialect
    }
}

/// Makes a client of Secrets Manager.
fn secrets_manager(aws: AwsCredentials) -> Result<aws_sdk_secretsmanager::Client, SecretsError> {
    client::secrets_manager(aws).map_err(SecretsError::SecretsManager)
}
