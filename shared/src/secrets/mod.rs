//! Database credentials and signing keys, cached for the life of the process.
//!
//! In AWS one `BatchGetSecretValue` fetches both from Secrets Manager at the start. Locally `DATABASE_URL` and
//! `JWT_SECRET` replace the secrets. With `DATABASE_AUTH` the database needs no secret: each connection gets a token that
//! is signed here. The credentials are fetched again when the database rejects them.
//!
//! # Age of the signing keys
//!
//! No request shows that a key was removed or that another one should sign, so the key ring is fetched again by its age:
//!
//! - Younger than [`REFRESH_AGE`]: used as it is.
//! - Up to [`MAX_AGE`]: used as it is, and fetched again beside the request. No request waits.
//! - Older: the request waits for the new ring. This happens to the first request after a pause, because Lambda freezes
//!   the environment between requests.
//!
//! A token that names an unknown key waits for a new ring at any age, at most once in 30 s.
//!
//! So a removed key is accepted, and a replaced key signs, for at most [`MAX_AGE`] after the change.
//! [`MIN_INTERVAL`] rests on that: a key that no longer signs is removed only after [`MAX_AGE`] and the lifetime of a
//! token have passed, and a key that will sign is published for longer than [`MAX_AGE`] before, so that all functions and
//! the caches of its public half have it.
//!
//! The bound needs Secrets Manager: while it is unavailable, the last ring stays in use, each failed attempt is logged,
//! and one request in 30 s waits for an attempt, for at most 5 s.

mod cache;
mod database_url;
pub mod rotation;
mod source;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_postgres::Config;

use self::cache::Cache;
use self::source::{DatabaseAccess, SecretSource, Sources};
use crate::auth::access_token;
use crate::auth::digest_keys::DigestKeys;
use crate::auth::key_ring::{InvalidKeyRing, KeyRing};
use crate::auth::key_rotation::MIN_INTERVAL;
use crate::auth::verifying_keys::VerifyingKeys;
use crate::aws::{AwsCredentials, client};
use crate::clock::Clock;
use crate::db::{Credentials, Dialect};
use crate::env::EnvError;
use crate::report::BoxError;

/// Age from which the key ring is fetched again beside a request. Caches of the public keys may be as old.
pub const REFRESH_AGE: Duration = Duration::from_mins(5);
/// Age from which a request waits for a new key ring: the time after which a removed key is rejected.
pub const MAX_AGE: Duration = Duration::from_mins(15);

/// The last token of a replaced key, and the caches of a ring that was at its maximum age, end before the next rotation.
const _: () = assert!(
    MIN_INTERVAL.as_secs() >= MAX_AGE.as_secs() + access_token::LIFETIME.as_secs() + REFRESH_AGE.as_secs(),
    "MIN_INTERVAL does not allow for MAX_AGE"
);

/// The keys of a function. They are a type parameter, so that a function without keys does not compile if it handles tokens,
/// and one that only verifies does not compile if it signs.
pub trait Keys: Sized + Send + Sync + 'static {
    /// The settings that tell where the keys are.
    const SOURCE: KeySource;

    /// Reads the text of the keys, which is empty without a source.
    ///
    /// # Errors
    /// The text has no such keys.
    fn parse(text: &str) -> Result<Self, InvalidKeyRing>;
}

/// The settings that tell where keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The function has no keys.
    None,
    /// `JWT_SECRET` or `JWT_SECRET_ARN`.
    Ring,
    /// `JWT_PUBLIC_KEYS` or `JWT_PUBLIC_KEYS_ARN`; without them those of the ring.
    PublicKeys,
}

impl Keys for KeyRing {
    const SOURCE: KeySource = KeySource::Ring;

    fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        Self::parse(text)
    }
}

impl Keys for DigestKeys {
    const SOURCE: KeySource = KeySource::Ring;

    fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        Self::parse(text)
    }
}

impl Keys for VerifyingKeys {
    const SOURCE: KeySource = KeySource::PublicKeys;

    fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        Self::parse(text)
    }
}

/// The keys of a function that neither issues nor verifies tokens.
pub struct NoKeys;

impl Keys for NoKeys {
    const SOURCE: KeySource = KeySource::None;

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
    /// `DATABASE_URL` is not an address. The parser's own message can quote a part of the password.
    #[error(
        "DATABASE_URL is not a database address such as postgres://user:password@host:5432/name. Percent-encode special \
         characters of the password, such as %3F for ?. sslmode may be disable, prefer, require, verify-ca, or verify-full. \
         Remove the options of other clients"
    )]
    DatabaseUrl,
    /// `DATABASE_URL` has an option of another client.
    #[error(
        "DATABASE_URL has the option {0}, which this service does not have. Remove it. The certificate is always verified, by the \
         roots of AWS or those in DATABASE_CA_FILE; statements are prepared unless DATABASE_PREPARE says otherwise"
    )]
    DatabaseUrlOption(&'static str),
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
    credentials: DatabaseCredentials,
    keys: Cache<K>,
}

/// Secrets whose sources are known and whose texts are not fetched yet.
pub(crate) struct Unfetched {
    sources: Sources,
    dialect: Dialect,
    clock: Arc<dyn Clock>,
}

/// The credentials of the database, which are fetched again only after the database has rejected them.
#[derive(Clone)]
struct DatabaseCredentials {
    access: Cache<DatabaseAccess>,
    dialect: Dialect,
    clock: Arc<dyn Clock>,
}

impl Unfetched {
    /// Reads the sources of a function with a database from the environment.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub(crate) fn from_env<K: Keys>(clock: Arc<dyn Clock>) -> Result<Self, SecretsError> {
        let (database, dialect) = SecretSource::database_from_env()?;
        Self::with_keys_from_env::<K>(Some(database), dialect, clock)
    }

    fn with_keys_from_env<K: Keys>(
        database: Option<SecretSource>,
        dialect: Dialect,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SecretsError> {
        let keys = SecretSource::keys_from_env(K::SOURCE)?;
        let sources = Sources::new(database, keys, AwsCredentials::from_env)?;
        Ok(Self { sources, dialect, clock })
    }

    /// Returns the database credentials if they are known without a fetch.
    ///
    /// # Errors
    /// `DATABASE_URL` is not an address.
    pub(crate) fn credentials(&self) -> Result<Option<Arc<dyn Credentials>>, SecretsError> {
        let access = self.sources.known_database_access()?;
        Ok(access.map(|access| Arc::new(self.database_credentials(access, self.clock.now())) as _))
    }

    /// Fetches the secrets, in one call.
    ///
    /// # Errors
    /// A secret is wrong or unreachable.
    pub(crate) async fn fetch<K: Keys>(self) -> Result<Secrets<K>, SecretsError> {
        let started_at = self.clock.now();
        let texts = self.sources.fetch(started_at).await?;
        let credentials = self.database_credentials(texts.database_access()?, started_at);
        let (keys, secret) = (parse_keys(texts.keys()?)?, self.sources.remote_keys());
        Ok(Secrets { credentials, keys: Cache::new(keys, started_at, secret, parse_keys, self.clock) })
    }

    fn database_credentials(&self, access: DatabaseAccess, at: SystemTime) -> DatabaseCredentials {
        let (secret, clock) = (self.sources.remote_database(), Arc::clone(&self.clock));
        let access = Cache::new(access, at, secret, DatabaseAccess::parse_secret, Arc::clone(&clock));
        DatabaseCredentials { access, dialect: self.dialect, clock }
    }
}

fn parse_keys<K: Keys>(text: &str) -> Result<K, SecretsError> {
    Ok(K::parse(text)?)
}

impl<K: Keys> Secrets<K> {
    /// Loads the keys for a function without a database.
    ///
    /// # Errors
    /// A setting or a secret is missing, wrong, or unreachable.
    pub async fn load_keys(clock: Arc<dyn Clock>) -> Result<Self, SecretsError> {
        Unfetched::with_keys_from_env::<K>(None, Dialect::default(), clock)?.fetch().await
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
        let keys = (K::SOURCE != KeySource::None).then_some(SecretSource::SecretsManager(keys_arn));
        let sources = Sources::new(database, keys, || Ok(aws))?;
        Unfetched { sources, dialect: Dialect::default(), clock }.fetch().await
    }

    /// Makes secrets that do not change.
    pub fn fixed(database: Config, keys: K, clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let access = DatabaseAccess::Fixed(Arc::new(database));
        let access = Cache::new(access, now, None, DatabaseAccess::parse_secret, Arc::clone(&clock));
        let credentials = DatabaseCredentials { access, dialect: Dialect::default(), clock: Arc::clone(&clock) };
        Self { credentials, keys: Cache::new(keys, now, None, parse_keys, clock) }
    }

    /// Sets the kind of server that the database is.
    #[must_use]
    pub fn with_dialect(self, dialect: Dialect) -> Self {
        Self { credentials: DatabaseCredentials { dialect, ..self.credentials }, ..self }
    }

    /// Returns the signing keys. Waits for newer ones if they are older than [`MAX_AGE`].
    pub async fn keys(&self) -> Arc<K> {
        self.keys.fresh(REFRESH_AGE, MAX_AGE).await
    }

    /// Fetches the signing keys, because a token names an unknown one, and returns them.
    pub async fn newest_keys(&self) -> Arc<K> {
        self.keys.newest().await
    }

    /// Lets a fetch of the keys end that a request has started. To be called after the response was sent, because Lambda
    /// may freeze the environment as soon as it requests the next event.
    pub async fn settle(&self) {
        self.keys.settle().await;
    }

    /// Returns the credentials for the pool.
    pub(crate) fn credentials(&self) -> Arc<dyn Credentials> {
        Arc::new(self.credentials.clone())
    }
}

impl Credentials for DatabaseCredentials {
    fn current(&self) -> Arc<Config> {
        self.access.current().config(self.clock.now())
    }

    fn renew(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            self.access.newest().await;
        })
    }

    fn dialect(&self) -> Dialect {
        self.dialect
    }
}

/// Makes a client of Secrets Manager.
fn secrets_manager(aws: AwsCredentials) -> Result<aws_sdk_secretsmanager::Client, SecretsError> {
    client::secrets_manager(aws).map_err(SecretsError::SecretsManager)
}
