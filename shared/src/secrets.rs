//! Database credentials and signing keys: the only home of the AWS SDK.
//!
//! In AWS they come from Secrets Manager by one `BatchGetSecretValue` at the start, again when they turn out to be out
//! of date, and again when they are [`MAX_AGE`] old: no message says that a key is to sign no more. Locally `DATABASE_URL` and `JWT_SECRET` stand in, each for its secret.
//! With `DATABASE_AUTH` the database has no secret: each connection gets a token that is made here.

#![expect(clippy::disallowed_methods, reason = "this is the home of the AWS SDK")]

mod database_token;
pub mod rotation;

use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region, timeout::TimeoutConfig};
use aws_smithy_http_client::tls;
use serde::Deserialize;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::auth::key_ring::{InvalidKeyRing, KeyRing};
use crate::clock::Clock;
use crate::config::{self, ConfigError};
use crate::db::Server;
use crate::error::BoxError;

pub use self::database_token::{SignIn, TokenFor};

/// The signing keys that a function has: a type, so that one which has none cannot even name a token.
pub trait Keys: Sized + Send + Sync + 'static {
    /// Whether the secret has to be there.
    const NEEDED: bool;

    /// Reads the secret's text, which is there if it is needed.
    ///
    /// # Errors
    /// The text is no key ring.
    fn parse(text: &str) -> Result<Self, InvalidKeyRing>;
}

impl Keys for KeyRing {
    const NEEDED: bool = true;

    fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        Self::parse(text)
    }
}

/// For a function that neither issues nor checks tokens.
pub struct NoKeys;

impl Keys for NoKeys {
    const NEEDED: bool = false;

    fn parse(_: &str) -> Result<Self, InvalidKeyRing> {
        Ok(Self)
    }
}

/// Why there are no secrets to start with.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The signing secret is no good.
    #[error(transparent)]
    KeyRing(#[from] InvalidKeyRing),
    /// The address of the database is no good.
    #[error("DATABASE_URL is no database address such as postgres://user:password@host:5432/name")]
    DatabaseUrl(#[source] tokio_postgres::Error),
    /// The secret of the database is no good. What is in it, the library's own message would show.
    #[error(
        r#"the secret of DATABASE_SECRET_ARN is not {{"username":"…","password":"…"}}, perhaps with host, port and dbname: look at line {line}, column {column}"#
    )]
    DatabaseSecret {
        /// Where it is wrong.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// Secrets Manager did not answer, or refused.
    #[error("Secrets Manager did not hand out the secrets")]
    SecretsManager(#[source] BoxError),
    /// Secrets Manager handed out less than it was asked for.
    #[error("Secrets Manager has no text for {0}: check that it exists and that the function may read it")]
    NotHandedOut(String),
}

/// The current credentials and keys, and the way to newer ones.
pub struct Secrets<K> {
    /// Where newer ones come from; nowhere, if none of these came from Secrets Manager.
    source: Option<Source>,
    current: RwLock<Current<K>>,
    refreshed_at: Mutex<Option<SystemTime>>,
    clock: Arc<dyn Clock>,
    server: Server,
}

struct Current<K> {
    database: DatabaseAccess,
    keys: Arc<K>,
    fetched_at: SystemTime,
}

/// How to reach the database.
#[derive(Clone)]
enum DatabaseAccess {
    Known(Arc<tokio_postgres::Config>),
    Signed(Arc<SignIn>),
}

/// Where the texts of the two secrets come from.
struct Source {
    database: Option<Place>,
    keys: Option<Place>,
    client: Option<Client>,
}

/// Where AWS is, and as whom to speak to it.
pub struct Aws {
    /// The region, as in `eu-central-1`.
    pub region: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The access key itself.
    pub secret_access_key: Zeroizing<String>,
    /// What goes with a key that is temporary, as a function's is.
    pub session_token: Option<String>,
    /// Where Secrets Manager is, if not where AWS has it.
    pub endpoint_url: Option<String>,
}

enum Place {
    Environment(Zeroizing<String>),
    SecretsManager(String),
    /// Of the database alone: nowhere, for a token is made when it is needed.
    Signed(Arc<SignIn>),
}

/// The least time between two refreshes: tokens with made-up key ids must not turn into calls that are paid for.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// How long a ring may sign and verify after another has taken its place: what a rotation has to wait for at each step.
pub const MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// Bounds a call to Secrets Manager, retries included, well below the functions' timeout.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The roots that AWS's own endpoints chain to. Scanning the system's store would cost 5 ms at every start.
const AMAZON_ROOTS: &str = include_str!("../roots/amazon.pem");

impl<K: Keys> Secrets<K> {
    /// Reads the environment, and Secrets Manager where the environment says so.
    ///
    /// # Errors
    /// Something is missing, wrong or out of reach; the message says what to do.
    pub async fn load(clock: Arc<dyn Clock>) -> Result<Self, SecretsError> {
        let (place, server) = Place::of_database()?;
        Ok(Self::load_from(Some(place), clock).await?.of(server))
    }

    /// The same for a function that has no database: its credentials are neither needed nor read.
    ///
    /// # Errors
    /// As for [`Secrets::load`].
    pub async fn load_keys(clock: Arc<dyn Clock>) -> Result<Self, SecretsError> {
        Self::load_from(None, clock).await
    }

    async fn load_from(database: Option<Place>, clock: Arc<dyn Clock>) -> Result<Self, SecretsError> {
        let keys = match K::NEEDED {
            false => None,
            true => Some(Place::from_env("JWT_SECRET", "JWT_SECRET_ARN").ok_or(ConfigError::Missing {
                name: "JWT_SECRET",
                advice: "set it to at least 32 random bytes, such as `openssl rand -hex 32` makes, or JWT_SECRET_ARN to a secret's ARN",
            })?),
        };
        let remote = [&database, &keys].into_iter().flatten().any(|place| place.arn().is_some());
        let client = if remote { Some(client(Aws::from_env()?)?) } else { None };
        Self::open(Source { database, keys, client }, clock).await
    }

    /// Fetches both from Secrets Manager, whatever the environment says.
    ///
    /// # Errors
    /// Something is wrong or out of reach.
    pub async fn from_secrets_manager(
        aws: Aws,
        database_arn: String,
        keys_arn: String,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SecretsError> {
        let (database, keys) = (Place::SecretsManager(database_arn), Place::SecretsManager(keys_arn));
        let (database, keys) = (Some(database), K::NEEDED.then_some(keys));
        Self::open(Source { database, keys, client: Some(client(aws)?) }, clock).await
    }

    async fn open(source: Source, clock: Arc<dyn Clock>) -> Result<Self, SecretsError> {
        let current = source.fetch(clock.now()).await?;
        Ok(Self { source: source.client.is_some().then_some(source), ..Self::new(current, clock) })
    }

    /// Secrets that are at hand already and do not change.
    pub fn fixed(database: tokio_postgres::Config, keys: K, clock: Arc<dyn Clock>) -> Self {
        let (database, keys) = (DatabaseAccess::Known(Arc::new(database)), Arc::new(keys));
        Self::new(Current { database, keys, fetched_at: clock.now() }, clock)
    }

    fn new(current: Current<K>, clock: Arc<dyn Clock>) -> Self {
        let (current, refreshed_at) = (RwLock::new(current), Mutex::new(None));
        Self { source: None, current, refreshed_at, clock, server: Server::default() }
    }

    /// The same, of a database of this kind.
    pub fn of(self, server: Server) -> Self {
        Self { server, ..self }
    }

    /// What kind of server the database is.
    pub(crate) fn server(&self) -> Server {
        self.server
    }

    /// How to reach the database, as far as is known; for a connection that is to be opened now.
    pub fn database(&self) -> Arc<tokio_postgres::Config> {
        let access = self.read().database.clone();
        match access {
            DatabaseAccess::Known(config) => config,
            DatabaseAccess::Signed(sign_in) => Arc::new(sign_in.config(self.clock.now())),
        }
    }

    /// The signing keys. Fetches them if they are old; if that fails, old ones are better than none.
    pub async fn keys(&self) -> Arc<K> {
        let age = self.clock.now().duration_since(self.read().fetched_at).unwrap_or_default();
        if age >= MAX_AGE {
            self.refresh_if_possible().await;
        }
        Arc::clone(&self.read().keys)
    }

    /// The signing keys, fetched anew: a token names one that is not among them.
    pub async fn newest_keys(&self) -> Arc<K> {
        self.refresh_if_possible().await;
        Arc::clone(&self.read().keys)
    }

    /// Fetches both again. If that fails, it is logged.
    pub(crate) async fn refresh_if_possible(&self) {
        if let Err(error) = self.refresh().await {
            // The last good ones stay, a key that was to retire with them: somebody has to look.
            tracing::error!("the secrets could not be fetched again: {}", crate::telemetry::chain(&error));
        }
    }

    /// Fetches both again, unless that was done less than 30 seconds ago or nothing can have changed.
    ///
    /// # Errors
    /// Secrets Manager does not answer, or what it has is no good; the old ones stay.
    async fn refresh(&self) -> Result<(), SecretsError> {
        let Some(source) = &self.source else { return Ok(()) };
        let mut refreshed_at = self.refreshed_at.lock().await;
        let now = self.clock.now();
        let passed = refreshed_at.and_then(|at| now.duration_since(at).ok());
        if passed.is_some_and(|passed| passed < REFRESH_INTERVAL) {
            return Ok(());
        }
        *refreshed_at = Some(now);
        let fetched = source.fetch(now).await?;
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = fetched;
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Current<K>> {
        // Nothing can panic while the lock is held; a poisoned one still holds whole values.
        self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Place {
    fn of_database() -> Result<(Self, Server), ConfigError> {
        let choices = [("password", None), ("iam", Some(TokenFor::Rds)), ("dsql", Some(TokenFor::Dsql))];
        let auth = config::choice("DATABASE_AUTH", &choices)?;
        let server = if auth == Some(TokenFor::Dsql) { Server::AuroraDsql } else { Server::PostgreSql };
        let place = match (Self::from_env("DATABASE_URL", "DATABASE_SECRET_ARN"), auth) {
            // What stands in for a secret stands in for a token too.
            (Some(place @ Self::Environment(_)), _) | (Some(place), None) => place,
            (_, Some(service)) => Self::Signed(Arc::new(SignIn::from_env(service)?)),
            (None, None) => {
                return Err(ConfigError::Missing {
                    name: "DATABASE_URL",
                    advice: "set it to postgres://user:password@host:5432/name, or DATABASE_SECRET_ARN to a secret's ARN, \
                         or DATABASE_AUTH to iam",
                });
            }
        };
        Ok((place, server))
    }

    fn from_env(text: &'static str, arn: &'static str) -> Option<Self> {
        let stand_in = config::optional(text).map(|text| Self::Environment(Zeroizing::new(text)));
        stand_in.or_else(|| config::optional(arn).map(Self::SecretsManager))
    }

    fn arn(&self) -> Option<&str> {
        match self {
            Self::Environment(_) | Self::Signed(_) => None,
            Self::SecretsManager(arn) => Some(arn),
        }
    }
}

impl Source {
    async fn fetch<K: Keys>(&self, now: SystemTime) -> Result<Current<K>, SecretsError> {
        let arns: Vec<String> = [&self.database, &self.keys]
            .into_iter()
            .flatten()
            .filter_map(|place| place.arn().map(str::to_owned))
            .collect();
        let texts = match &self.client {
            Some(client) => fetch(client, arns).await?,
            None => Vec::new(),
        };
        let text_of = |arn: &str| {
            let found = texts.iter().find(|(given, _)| given == arn);
            found.map(|(_, text)| text.as_str()).ok_or_else(|| SecretsError::NotHandedOut(arn.to_owned()))
        };
        let known = |config| DatabaseAccess::Known(Arc::new(config));
        let database = match &self.database {
            // Nowhere: nothing asks for it.
            None => known(tokio_postgres::Config::new()),
            Some(Place::Environment(url)) => known(parse_url(url)?),
            Some(Place::SecretsManager(arn)) => known(parse_database_secret(text_of(arn)?)?),
            Some(Place::Signed(sign_in)) => DatabaseAccess::Signed(Arc::clone(sign_in)),
        };
        let keys = match &self.keys {
            None | Some(Place::Signed(_)) => K::parse("")?,
            Some(Place::Environment(text)) => K::parse(text)?,
            Some(Place::SecretsManager(arn)) => K::parse(text_of(arn)?)?,
        };
        Ok(Current { database, keys: Arc::new(keys), fetched_at: now })
    }
}

/// One call for all secrets: ARN or name as it was asked for, and text.
async fn fetch(client: &Client, ids: Vec<String>) -> Result<Vec<(String, Zeroizing<String>)>, SecretsError> {
    let answer = client
        .batch_get_secret_value()
        .set_secret_id_list(Some(ids.clone()))
        .send()
        .await
        .map_err(|error| SecretsError::SecretsManager(Box::new(error)))?;
    let mut values = answer.secret_values.unwrap_or_default();
    Ok(ids
        .into_iter()
        .filter_map(|id| {
            let found = values.iter_mut().find(|value| value.arn() == Some(&id) || value.name() == Some(&id))?;
            Some((id, Zeroizing::new(found.secret_string.take()?)))
        })
        .collect())
}

impl Aws {
    /// As Lambda says it in the environment.
    fn from_env() -> Result<Self, ConfigError> {
        let variable = |name: &'static str| {
            let advice = "Lambda sets it; set it where DATABASE_AUTH or a secret's ARN is set";
            config::optional(name).ok_or(ConfigError::Missing { name, advice })
        };
        Ok(Self {
            region: variable("AWS_REGION")?,
            access_key_id: variable("AWS_ACCESS_KEY_ID")?,
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?.into(),
            session_token: config::optional("AWS_SESSION_TOKEN"),
            endpoint_url: config::optional("AWS_ENDPOINT_URL_SECRETS_MANAGER")
                .or_else(|| config::optional("AWS_ENDPOINT_URL")),
        })
    }
}

/// Whom to trust when speaking to AWS.
pub(crate) fn tls_context() -> Result<tls::TlsContext, BoxError> {
    let trust = tls::TrustStore::empty().with_pem_certificate(AMAZON_ROOTS);
    Ok(tls::TlsContext::builder().with_trust_store(trust).build()?)
}

/// The SDK's small shape: no chain of credential providers, which would cost 50 ms, and no second TLS library.
fn client(aws: Aws) -> Result<Client, SecretsError> {
    let credentials =
        Credentials::new(aws.access_key_id, aws.secret_access_key.as_str(), aws.session_token, None, "environment");
    let context = tls_context().map_err(SecretsError::SecretsManager)?;
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .tls_context(context)
        .build_https();
    let mut settings = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(aws.region))
        .credentials_provider(credentials)
        .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build())
        .http_client(http);
    settings.set_endpoint_url(aws.endpoint_url);
    Ok(Client::from_conf(settings.build()))
}

fn parse_url(url: &str) -> Result<tokio_postgres::Config, SecretsError> {
    url.trim().parse().map_err(SecretsError::DatabaseUrl)
}

/// What RDS writes into the secrets that it manages; where it leaves out the address, settings tell it.
#[derive(Deserialize)]
struct DatabaseSecret {
    username: String,
    password: Zeroizing<String>,
    host: Option<String>,
    port: Option<u16>,
    dbname: Option<String>,
}

fn parse_database_secret(text: &str) -> Result<tokio_postgres::Config, SecretsError> {
    let secret: DatabaseSecret = serde_json::from_str(text)
        .map_err(|error| SecretsError::DatabaseSecret { line: error.line(), column: error.column() })?;
    let host = config::optional("DATABASE_HOST").or(secret.host).ok_or(ConfigError::Missing {
        name: "DATABASE_HOST",
        advice: "set it to the database's address, which its secret does not tell",
    })?;
    let port = config::integer("DATABASE_PORT", 1, u16::MAX, secret.port.unwrap_or(5432))?;
    let mut database = tokio_postgres::Config::new();
    database
        .user(secret.username)
        .password(secret.password.as_bytes())
        .host(host)
        .port(port)
        .dbname(config::optional("DATABASE_NAME").or(secret.dbname).unwrap_or_else(|| "postgres".to_owned()));
    Ok(database)
}
