//! What a handler is handed: everything that was made ready at the start. Cheap to clone.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use tracing::Instrument;
use zeroize::Zeroizing;

use crate::audit::Event;
use crate::auth::access_token::{self, InvalidAccessToken, Session};
use crate::auth::guessing::{self, PasswordCheck};
use crate::auth::key_ring::KeyRing;
use crate::auth::password_hash::{self, Verdict};
use crate::auth::refresh_token::RefreshToken;
use crate::clock::Clock;
use crate::config::Settings;
use crate::db::sign_in::{Challenge, Checked, Credentials, Failure};
use crate::db::{self, Database};
use crate::domain::{Password, PasswordAttempt};
use crate::error::ApiError;
use crate::http::{Request, bearer_token};
use crate::request_log;
use crate::secrets::{Keys, Secrets};
use crate::traces;

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
        hashing("password.hash", move || password_hash::hash(&password, cost)).await
    }

    /// Compares a password with a stored hash, or with none, in the same time, without holding up other requests.
    ///
    /// # Errors
    /// The stored hash is no hash.
    async fn verify_password(&self, attempt: PasswordAttempt, stored: Option<String>) -> Result<Verdict, ApiError> {
        let cost = self.0.settings.bcrypt_cost;
        hashing("password.verify", move || password_hash::verify(&attempt, stored.as_deref(), cost)).await
    }

    async fn renew_hash(&self, attempt: PasswordAttempt) -> Result<String, ApiError> {
        let cost = self.0.settings.bcrypt_cost;
        hashing("password.renew", move || password_hash::renew(&attempt, cost)).await
    }

    /// Checks a password against the credentials that were found for it, as slowly as [`crate::auth::guessing`] wants. Of a
    /// sign-in, a hash that is not as a new one would be is made anew; after it is known whether the password counts, or
    /// the time that it takes would tell.
    ///
    /// # Errors
    /// The password is wrong, there is no such account, or there were too many attempts.
    pub async fn check_password(
        &self,
        purpose: PasswordCheck,
        challenge: Challenge,
        attempt: PasswordAttempt,
    ) -> Result<Checked, ApiError> {
        let Challenge { credentials, counter, closed_until } = challenge;
        let user = credentials.as_ref().map(|credentials| credentials.user);
        let refuse = |until: SystemTime| {
            let wait = guessing::wait(until, self.now());
            Event::PasswordRefused { user, purpose, wait }.record();
            Err(ApiError::TooManyAttempts(wait))
        };
        if let Some(until) = closed_until {
            return refuse(until);
        }
        let stored = credentials.as_ref().map(|credentials| credentials.password_hash.clone());
        let verdict = self.verify_password(attempt.clone(), stored).await?;
        let now = self.now();
        if let (Some(Credentials { user, password_hash, .. }), Verdict::Right { outdated }) = (credentials, verdict) {
            if let Some(until) = db::sign_in::pass(self.db(), &counter, now).await? {
                return refuse(until);
            }
            let renewed = match purpose {
                PasswordCheck::SignIn if outdated => Some(self.renew_hash(attempt).await?),
                _ => None,
            };
            return Ok(Checked { user, password_hash, renewed });
        }
        match db::sign_in::fail(self.db(), &counter, now).await? {
            Failure::Refused(until) => refuse(until),
            Failure::Counted { failures, closed_until } => {
                Event::PasswordWrong { user, purpose, failures }.record();
                let wait = guessing::wait(closed_until, now);
                if !wait.is_zero() {
                    Event::PasswordLocked { user, wait }.record();
                }
                Err(match purpose {
                    PasswordCheck::SignIn => ApiError::InvalidCredentials,
                    PasswordCheck::Repeated => ApiError::WrongPassword,
                })
            }
        }
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
        let verify = |keys: &KeyRing| access_token::verify(keys, &self.0.settings.tokens, token, self.now());
        let session = match verify(&*self.0.secrets.keys().await) {
            Err(InvalidAccessToken::UnknownKey) => verify(&*self.0.secrets.newest_keys().await),
            verdict => verdict,
        };
        let session = session.map_err(|error| ApiError::InvalidToken(Some(error)))?;
        request_log::note_session(session);
        Ok(session)
    }

    /// What a client gets at a sign-in and at each refresh: a new access token for `session`, and `refresh_token`.
    ///
    /// # Errors
    /// Only by a fault in this program.
    pub async fn tokens(&self, session: Session, refresh_token: &RefreshToken) -> Result<Tokens, ApiError> {
        let Settings { tokens, refresh_lifetime, .. } = self.settings();
        Ok(Tokens {
            access_token: access_token::issue(&*self.0.secrets.keys().await, tokens, session, self.now())?,
            token_type: "Bearer",
            expires_in: tokens.lifetime.as_secs(),
            refresh_token: refresh_token.expose(),
            refresh_expires_in: refresh_lifetime.as_secs(),
        })
    }
}

/// An access token and a refresh token, as RFC 6749 §5.1 names their parts.
#[derive(Serialize)]
pub struct Tokens {
    access_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    refresh_token: Zeroizing<String>,
    /// Seconds, unless it is refreshed before.
    refresh_expires_in: u64,
}

async fn hashing<T: Send + 'static, E: Into<ApiError> + Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).instrument(traces::hashing(operation)).await {
        Ok(done) => done.map_err(Into::into),
        Err(panicked) => Err(ApiError::Internal(Box::new(panicked))),
    }
}
