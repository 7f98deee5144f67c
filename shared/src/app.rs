//! What a handler is handed: everything that was made ready at the start. Cheap to clone.

use std::sync::Arc;
use std::time::SystemTime;

use crate::auth::access_token::{self, InvalidAccessToken, Session};
use crate::auth::key_ring::KeyRing;
use crate::auth::password_hash::{self, Verdict};
use crate::clock::Clock;
use crate::config::Settings;
use crate::db::Database;
use crate::domain::{Password, PasswordAttempt};
use crate::error::ApiError;
use crate::http::{Request, bearer_token};
use crate::secrets::{Keys, Secrets};

/// The context of a function: database, settings, clock, and the keys that the function's type asks for.
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
    /// Puts the parts together. `connections` is the number of requests that are served at a time.
    pub fn new(settings: Settings, secrets: Arc<Secrets<K>>, clock: Arc<dyn Clock>, connections: usize) -> Self {
        let database = Database::new(Arc::clone(&secrets), Arc::clone(&clock), connections);
        Self(Arc::new(Parts { database, settings, secrets, clock }))
    }

    /// The database.
    pub fn db(&self) -> &Database {
        &self.0.database
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The time.
    pub fn now(&self) -> SystemTime {
        self.0.clock.now()
    }

    /// Hashes a new password without holding up other requests.
    ///
    /// # Errors
    /// The system has no randomness.
    pub async fn hash_password(&self, password: Password) -> Result<String, ApiError> {
        let cost = self.0.settings.bcrypt_cost;
        blocking(move || password_hash::hash(&password, cost)).await
    }

    /// Compares a password with a stored hash, or with none, in the same time, without holding up other requests.
    ///
    /// # Errors
    /// The stored hash is no hash.
    pub async fn verify_password(&self, attempt: PasswordAttempt, stored: Option<String>) -> Result<Verdict, ApiError> {
        let cost = self.0.settings.bcrypt_cost;
        blocking(move || password_hash::verify(&attempt, stored.as_deref(), cost)).await
    }
}

impl App<KeyRing> {
    /// Whose session a request belongs to, by its access token. Whether it still stands, the next statement tells.
    ///
    /// A key id that is not in the ring may be a new one: the secrets are fetched again before the token is refused.
    ///
    /// # Errors
    /// There is no token, or it is not valid.
    pub async fn session(&self, request: &Request) -> Result<Session, ApiError> {
        let token = bearer_token(request)?;
        let verify = || access_token::verify(&self.0.secrets.keys(), &self.0.settings.tokens, token, self.now());
        let session = match verify() {
            Err(InvalidAccessToken::UnknownKey) => {
                if let Err(error) = self.0.secrets.refresh().await {
                    tracing::warn!(error = %crate::telemetry::chain(&error), "the secrets could not be fetched again");
                }
                verify()
            }
            verdict => verdict,
        };
        session.map_err(|error| ApiError::InvalidToken(Some(error)))
    }

    /// Signs an access token for a session.
    ///
    /// # Errors
    /// Only by a fault in this program.
    pub fn issue_access_token(&self, session: Session) -> Result<String, ApiError> {
        Ok(access_token::issue(&self.0.secrets.keys(), &self.0.settings.tokens, session, self.now())?)
    }
}

async fn blocking<T: Send + 'static, E: Into<ApiError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(panicked) => Err(ApiError::Internal(Box::new(panicked))),
    }
}
