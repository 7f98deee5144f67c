//! The check of a password: one function for sign-in and re-authentication. It owns the throttle, the verification, the
//! audit events, and the repetition when the account changes meanwhile.

use std::future::Future;
use std::time::SystemTime;

use tracing::Instrument;

use super::App;
use crate::audit::Event;
use crate::auth::digest_keys::Digests;
use crate::auth::key_ring::KeyRing;
use crate::auth::password_check::PasswordCheck;
use crate::auth::password_hash::{self, PasswordHash, Verdict};
use crate::auth::rate_limit::{FAILED_SIGN_INS_AT_ONCE, RateLimit};
use crate::auth::throttle;
use crate::db;
use crate::db::sign_in::{Failure, Origin, PasswordCandidate, VerifiedPassword};
use crate::domain::{Device, Password, PasswordAttempt, Session, UserId, canonical_name};
use crate::error::ApiError;
use crate::secrets::Keys;
use crate::telemetry::spans;

/// The account whose password is checked.
#[derive(Clone, Copy)]
enum Subject<'a> {
    /// The account with this username or email address in canonical form, and the text under which failures are counted.
    Name(&'a str, &'a str),
    /// The account of a session.
    Session(Session),
}

impl Subject<'_> {
    fn check(self) -> PasswordCheck {
        match self {
            Self::Name(..) => PasswordCheck::SignIn,
            Self::Session(_) => PasswordCheck::Reauthentication,
        }
    }

    fn wrong_password(self) -> ApiError {
        match self {
            Self::Name(..) => ApiError::InvalidCredentials,
            Self::Session(_) => ApiError::WrongPassword,
        }
    }
}

impl App<KeyRing> {
    /// Checks a password at sign-in and then calls `complete`. `device` has sent the attempt.
    ///
    /// `complete` acts on the verified password only if it is still the stored one, and returns `None` if it is not.
    /// The check is then repeated.
    ///
    /// # Errors
    /// `InvalidCredentials`, `TooManyAttempts`, or what `complete` returns.
    pub async fn sign_in<T, F>(
        &self,
        name: &str,
        device: &Device,
        password: &PasswordAttempt,
        complete: impl Fn(VerifiedPassword) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<Option<T>, ApiError>>,
    {
        let name = canonical_name(name);
        let failures = self.0.secrets.keys().await.digests().throttle_subject(&name, device.network.as_ref());
        self.with_password(Subject::Name(&name, &failures), device, password, complete).await
    }
}

impl<K: Keys> App<K> {
    /// Checks the password of a signed-in user and then calls `complete`, as [`App::sign_in`] does.
    ///
    /// # Errors
    /// `WrongPassword`, `TooManyAttempts`, `InvalidToken` if the session has ended, or what `complete` returns.
    pub async fn reauthenticate<T, F>(
        &self,
        session: Session,
        device: &Device,
        password: &PasswordAttempt,
        complete: impl Fn(VerifiedPassword) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<Option<T>, ApiError>>,
    {
        self.with_password(Subject::Session(session), device, password, complete).await
    }

    async fn with_password<T, F>(
        &self,
        subject: Subject<'_>,
        device: &Device,
        password: &PasswordAttempt,
        complete: impl Fn(VerifiedPassword) -> F,
    ) -> Result<T, ApiError>
    where
        F: Future<Output = Result<Option<T>, ApiError>>,
    {
        let limit = RateLimit::per_hour(self.settings().limits.failed_sign_ins, FAILED_SIGN_INS_AT_ONCE);
        let origin = Origin { device, limit };
        for _ in 0..PasswordCheck::MAX_ATTEMPTS {
            let candidate = match subject {
                Subject::Name(name, failures) => {
                    db::sign_in::find_by_name(self.db(), name, failures.to_owned(), origin, self.now()).await?
                }
                Subject::Session(session) => {
                    db::sign_in::find_by_session(self.db(), session, origin, self.now()).await?
                }
            };
            let verified = self.verify_password(subject, candidate, device, password).await?;
            if let Some(completed) = complete(verified).await? {
                return Ok(completed);
            }
        }
        Err(subject.wrong_password())
    }

    async fn verify_password(
        &self,
        subject: Subject<'_>,
        candidate: PasswordCandidate,
        device: &Device,
        password: &PasswordAttempt,
    ) -> Result<VerifiedPassword, ApiError> {
        let PasswordCandidate { credentials, highest_cost, counters, throttled_until, account_limit_reached } =
            candidate;
        let (user, purpose) = (credentials.as_ref().map(|credentials| credentials.user), subject.check());
        if let Some(until) = throttled_until {
            return Err(self.throttled(user, purpose, until));
        }
        let stored = credentials.as_ref().and_then(|credentials| credentials.password_hash.clone());
        let verdict = self.verify_hash(password.clone(), stored, highest_cost).await?;
        let now = self.now();
        if let (Some(credentials), Verdict::Right { outdated }, false) = (credentials, verdict, account_limit_reached) {
            if let Some(until) = db::sign_in::record_success(self.db(), &counters, now).await? {
                return Err(self.throttled(user, purpose, until));
            }
            // Not before `record_success`: a throttled attempt with the right password would take longer, and so reveal
            // it.
            let renewed_hash = match purpose {
                PasswordCheck::SignIn if outdated => Some(self.renew_hash(password.clone()).await?),
                _ => None,
            };
            return Ok(VerifiedPassword { credentials, renewed_hash });
        }
        match db::sign_in::record_failure(self.db(), &counters, device, now).await? {
            Failure::Throttled(until) => Err(self.throttled(user, purpose, until)),
            Failure::Counted { failures, throttled_until } => {
                Event::PasswordWrong { user, purpose, failures, account_limit_reached }.record();
                let wait = throttle::wait(throttled_until, now);
                if !wait.is_zero() {
                    Event::ThrottleStarted { user, wait }.record();
                }
                Err(subject.wrong_password())
            }
        }
    }

    fn throttled(&self, user: Option<UserId>, purpose: PasswordCheck, until: SystemTime) -> ApiError {
        let wait = throttle::wait(until, self.now());
        Event::PasswordThrottled { user, purpose, wait }.record();
        ApiError::TooManyAttempts(wait)
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// The system has no randomness.
    pub async fn hash_password(&self, password: Password) -> Result<PasswordHash, ApiError> {
        let cost = self.settings().bcrypt_cost;
        hashing("password.hash", move || password_hash::hash(&password, cost)).await
    }

    async fn verify_hash(
        &self,
        password: PasswordAttempt,
        stored: Option<String>,
        highest_cost: u32,
    ) -> Result<Verdict, ApiError> {
        let cost = self.settings().bcrypt_cost;
        let verify = move || password_hash::verify(&password, stored.as_deref(), cost, highest_cost);
        hashing("password.verify", verify).await
    }

    async fn renew_hash(&self, password: PasswordAttempt) -> Result<PasswordHash, ApiError> {
        let cost = self.settings().bcrypt_cost;
        hashing("password.renew", move || password_hash::renew(&password, cost)).await
    }
}

/// Runs `work` on a blocking thread, so that it does not delay other requests.
async fn hashing<T: Send + 'static, E: Into<ApiError> + Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).instrument(spans::hashing(operation)).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(panicked) => Err(ApiError::internal(panicked)),
    }
}
