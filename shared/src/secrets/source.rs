//! The sources of the database credentials and the signing keys.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use zeroize::Zeroizing;

use super::{KeySource, SecretsError, database_url};
use crate::aws::AwsCredentials;
use crate::aws::iam_token::{IamAuth, IamService};
use crate::aws::secret_texts::SecretReader;
use crate::db::Dialect;
use crate::env::{self, EnvError};
use crate::report;

/// The source of a secret.
pub(super) enum SecretSource {
    /// The text itself, from the environment.
    Environment(Zeroizing<String>),
    /// A secret of Secrets Manager, by its ARN.
    SecretsManager(String),
    /// A token that is signed for each connection. For the database only.
    Iam(Arc<IamAuth>),
}

impl SecretSource {
    /// Reads the source of the database credentials. `DATABASE_URL` takes precedence over all others.
    pub(super) fn database_from_env() -> Result<(Self, Dialect), EnvError> {
        let choices = [("password", None), ("iam", Some(IamService::Rds)), ("dsql", Some(IamService::Dsql))];
        let auth = env::choice("DATABASE_AUTH", &choices)?;
        let dialect = if auth == Some(IamService::Dsql) { Dialect::AuroraDsql } else { Dialect::PostgreSql };
        let source = match (Self::from_env("DATABASE_URL", "DATABASE_SECRET_ARN"), auth) {
            (Some(source @ Self::Environment(_)), _) | (Some(source), None) => source,
            (_, Some(service)) => Self::Iam(Arc::new(IamAuth::from_env(service)?)),
            (None, None) => {
                return Err(EnvError::Missing {
                    name: "DATABASE_URL",
                    advice: "set it to postgres://user:password@host:5432/name, or DATABASE_SECRET_ARN to the ARN of a \
                         secret, or DATABASE_AUTH to iam",
                });
            }
        };
        Ok((source, dialect))
    }

    /// Reads the source of the keys.
    pub(super) fn keys_from_env(source: KeySource) -> Result<Option<Self>, EnvError> {
        let public = || Self::from_env("JWT_PUBLIC_KEYS", "JWT_PUBLIC_KEYS_ARN");
        let keys = match source {
            KeySource::None => return Ok(None),
            KeySource::Ring => None,
            KeySource::PublicKeys => public(),
        };
        let keys = keys.or_else(|| Self::from_env("JWT_SECRET", "JWT_SECRET_ARN"));
        keys.map(Some).ok_or(EnvError::Missing {
            name: "JWT_SECRET",
            advice: "set it to at least 32 random bytes, such as the output of `openssl rand -hex 32`, or JWT_SECRET_ARN \
                 to the ARN of a secret",
        })
    }

    fn from_env(text: &'static str, arn: &'static str) -> Option<Self> {
        let text = env::optional(text).map(|text| Self::Environment(Zeroizing::new(text)));
        text.or_else(|| env::optional(arn).map(Self::SecretsManager))
    }

    fn arn(&self) -> Option<&str> {
        match self {
            Self::Environment(_) | Self::Iam(_) => None,
            Self::SecretsManager(arn) => Some(arn),
        }
    }
}

/// A secret of Secrets Manager.
pub(super) struct RemoteSecret {
    reader: SecretReader,
    arn: String,
}

impl RemoteSecret {
    /// Fetches the text.
    pub(super) async fn text(&self, now: SystemTime) -> Result<Zeroizing<String>, SecretsError> {
        let fetched = self.reader.fetch(vec![self.arn.clone()], now).await.map_err(SecretsError::SecretsManager)?;
        let text = fetched.into_iter().next().map(|(_, text)| text);
        text.ok_or_else(|| SecretsError::NotReturned(self.arn.clone()))
    }
}

/// The sources of both secrets. A function without a database, or without keys, lacks one.
pub(super) struct Sources {
    database: Option<SecretSource>,
    keys: Option<SecretSource>,
    reader: Option<SecretReader>,
}

/// The texts of both secrets, fetched at the same time.
pub(super) struct SecretTexts<'a> {
    sources: &'a Sources,
    /// Texts from Secrets Manager by their ARN.
    fetched: Vec<(String, Zeroizing<String>)>,
}

impl Sources {
    /// Makes the sources. Calls `aws` only if one of them is in Secrets Manager.
    pub(super) fn new(
        database: Option<SecretSource>,
        keys: Option<SecretSource>,
        aws: impl FnOnce() -> Result<AwsCredentials, EnvError>,
    ) -> Result<Self, SecretsError> {
        let is_remote = [&database, &keys].into_iter().flatten().any(|source| source.arn().is_some());
        let reader = is_remote.then(|| SecretReader::new(aws()?).map_err(SecretsError::SecretsManager)).transpose()?;
        Ok(Self { database, keys, reader })
    }

    /// Fetches the secrets of Secrets Manager in one call.
    pub(super) async fn fetch(&self, now: SystemTime) -> Result<SecretTexts<'_>, SecretsError> {
        let arns = [&self.database, &self.keys].into_iter().flatten().filter_map(|source| source.arn());
        let arns: Vec<String> = arns.map(str::to_owned).collect();
        let fetched = match &self.reader {
            Some(reader) => reader.fetch(arns, now).await.map_err(SecretsError::SecretsManager)?,
            None => Vec::new(),
        };
        Ok(SecretTexts { sources: self, fetched })
    }

    /// Returns the access to the database unless it has to be fetched.
    pub(super) fn known_database_access(&self) -> Result<Option<DatabaseAccess>, SecretsError> {
        let config = match &self.database {
            // A function without a database never connects.
            None => Config::new(),
            Some(SecretSource::Environment(url)) => database_url::parse(url)?,
            Some(SecretSource::Iam(auth)) => return Ok(Some(DatabaseAccess::Iam(Arc::clone(auth)))),
            Some(SecretSource::SecretsManager(_)) => return Ok(None),
        };
        Ok(Some(DatabaseAccess::Fixed(Arc::new(config))))
    }

    /// Returns the secret with the database credentials, if they are in Secrets Manager.
    pub(super) fn remote_database(&self) -> Option<RemoteSecret> {
        self.remote(self.database.as_ref())
    }

    /// Returns the secret with the signing keys, if they are in Secrets Manager.
    pub(super) fn remote_keys(&self) -> Option<RemoteSecret> {
        self.remote(self.keys.as_ref())
    }

    fn remote(&self, source: Option<&SecretSource>) -> Option<RemoteSecret> {
        Some(RemoteSecret { reader: self.reader.clone()?, arn: source?.arn()?.to_owned() })
    }
}

impl SecretTexts<'_> {
    /// Returns the text of the signing keys; an empty one without a source.
    pub(super) fn keys(&self) -> Result<&str, SecretsError> {
        match &self.sources.keys {
            None | Some(SecretSource::Iam(_)) => Ok(""),
            Some(SecretSource::Environment(text)) => Ok(text),
            Some(SecretSource::SecretsManager(arn)) => self.text_of(arn),
        }
    }

    /// Returns the access to the database.
    pub(super) fn database_access(&self) -> Result<DatabaseAccess, SecretsError> {
        if let Some(access) = self.sources.known_database_access()? {
            return Ok(access);
        }
        let arn = self.sources.database.as_ref().and_then(|source| source.arn()).unwrap_or_default();
        DatabaseAccess::parse_secret(self.text_of(arn)?)
    }

    fn text_of(&self, arn: &str) -> Result<&str, SecretsError> {
        let found = self.fetched.iter().find(|(fetched, _)| fetched == arn);
        found.map(|(_, text)| text.as_str()).ok_or_else(|| SecretsError::NotReturned(arn.to_owned()))
    }
}

/// The connection parameters of the database.
pub(super) enum DatabaseAccess {
    /// Parameters with a password.
    Fixed(Arc<Config>),
    /// Parameters with a token that is signed for each connection.
    Iam(Arc<IamAuth>),
}

impl DatabaseAccess {
    /// Parses a secret with the credentials.
    pub(super) fn parse_secret(text: &str) -> Result<Self, SecretsError> {
        Ok(Self::Fixed(Arc::new(parse_database_secret(text)?)))
    }

    /// Returns the parameters for a connection that is opened `now`.
    pub(super) fn config(&self, now: SystemTime) -> Arc<Config> {
        match self {
            Self::Fixed(config) => Arc::clone(config),
            Self::Iam(auth) => {
                let mut config = Config::new();
                config.host(&auth.host).port(auth.port).dbname(&auth.database).user(&auth.user);
                // Always TLS, because the token is a password.
                config.ssl_mode(SslMode::Require);
                match auth.token(now) {
                    Ok(token) => {
                        config.password(token.as_bytes());
                    }
                    // The database rejects a connection without a password.
                    Err(error) => tracing::error!("the database token cannot be signed: {}", report::chain(&*error)),
                }
                Arc::new(config)
            }
        }
    }
}

/// A database secret in the form that RDS writes. Settings replace an address that is missing.
#[derive(Deserialize)]
struct DatabaseSecret {
    username: String,
    password: Zeroizing<String>,
    host: Option<String>,
    port: Option<u16>,
    dbname: Option<String>,
}

fn parse_database_secret(text: &str) -> Result<Config, SecretsError> {
    let secret: DatabaseSecret = serde_json::from_str(text)
        .map_err(|error| SecretsError::DatabaseSecret { line: error.line(), column: error.column() })?;
    let host = env::host("DATABASE_HOST")?.or(secret.host).ok_or(EnvError::Missing {
        name: "DATABASE_HOST",
        advice: "set it to the address of the database, which its secret does not contain",
    })?;
    let port = env::integer("DATABASE_PORT", 1, u16::MAX, secret.port.unwrap_or(5432))?;
    let mut config = Config::new();
    config
        .user(secret.username)
        .password(secret.password.as_bytes())
        .host(host)
        .port(port)
        .dbname(env::optional("DATABASE_NAME").or(secret.dbname).unwrap_or_else(|| "postgres".to_owned()));
    Ok(config)
}
