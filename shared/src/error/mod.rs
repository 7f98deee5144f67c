//! Errors of the API: their codes, statuses, and messages for the caller. No other module knows them.
//!
//! Each lower module has its own error type, which `from.rs` converts. The caller gets [`ApiError::message`], which
//! says what to change. The log gets the error chain.

mod code;
mod from;

use std::time::Duration;

use lambda_http::http::StatusCode;

pub use self::code::{Code, Fault};
use crate::auth::access_token::InvalidAccessToken;
use crate::domain::{Handle, Version};
use crate::report::BoxError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request, or an operation of a batch, has faults.
    #[error("the request has faults: {}", summary(.0))]
    Invalid(Vec<Fault>),
    /// Sign-in failed. The caller does not learn whether the account exists.
    #[error("wrong username or password")]
    InvalidCredentials,
    /// Re-authentication of a signed-in user failed.
    #[error("wrong password")]
    WrongPassword,
    /// Password checks of this account are throttled for this many whole seconds.
    #[error("too many attempts")]
    TooManyAttempts(Duration),
    /// The request has no credentials.
    #[error("no bearer token")]
    MissingToken,
    /// The access token is invalid, or its session has ended.
    #[error("invalid bearer token")]
    InvalidToken(#[source] Option<InvalidAccessToken>),
    /// The refresh token is unknown or reused, or its session has ended.
    #[error("invalid refresh token")]
    InvalidRefreshToken,
    /// The mailed code is wrong, used, replaced, or expired.
    #[error("invalid code")]
    InvalidCode,
    /// The user has to verify the address before signing in. A code for this handle was mailed.
    #[error("email not verified")]
    EmailNotVerified(Handle),
    /// The service sends no mail.
    #[error("mail is not configured")]
    MailNotConfigured,
    /// The user's quota is used up.
    #[error("quota exceeded")]
    QuotaExceeded,
    /// The service does not accept registrations.
    #[error("registration is closed")]
    RegistrationClosed,
    /// An operator has disabled the account.
    #[error("account disabled")]
    AccountDisabled,
    /// No account has this id. Only operators learn that.
    #[error("user not found")]
    UserNotFound,
    /// The caller has no value under this key.
    #[error("key not found")]
    KeyNotFound,
    /// The caller has no such session.
    #[error("session not found")]
    SessionNotFound,
    /// Another account has this username.
    #[error("username exists")]
    UsernameExists,
    /// Another account has this email address.
    #[error("email exists")]
    EmailExists,
    /// The caller already has a value under this key.
    #[error("key exists")]
    KeyExists,
    /// The stored version, if there is one, does not match the request's precondition.
    #[error("precondition failed")]
    PreconditionFailed(Option<Version>),
    /// `If-Match` names only entity tags that can never match.
    #[error("precondition that cannot be true")]
    ImpossiblePrecondition(&'static str),
    /// The database is unreachable or too slow.
    #[error("service unavailable")]
    Unavailable(#[source] BoxError),
    /// The service has a defect or is configured wrongly.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

impl ApiError {
    /// Makes the error of a request with one fault.
    pub fn invalid(field: &'static str, code: Code, message: impl ToString) -> Self {
        Self::Invalid(vec![Fault::new(field, code, message)])
    }

    /// Makes an internal error from its cause.
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        Self::Internal(cause.into())
    }

    /// Returns the code. If there are several faults, it is that of the first one.
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(faults) => faults.first().map_or(Code::InvalidRequest, |fault| fault.code),
            Self::InvalidCredentials | Self::WrongPassword => Code::InvalidCredentials,
            Self::TooManyAttempts(_) => Code::TooManyAttempts,
            Self::MissingToken | Self::InvalidToken(_) | Self::InvalidRefreshToken => Code::InvalidToken,
            Self::InvalidCode => Code::InvalidCode,
            Self::EmailNotVerified(_) => Code::EmailNotVerified,
            Self::MailNotConfigured => Code::MailNotConfigured,
            Self::QuotaExceeded => Code::QuotaExceeded,
            Self::RegistrationClosed => Code::RegistrationClosed,
            Self::AccountDisabled => Code::AccountDisabled,
            Self::UserNotFound => Code::UserNotFound,
            Self::KeyNotFound => Code::KeyNotFound,
            Self::SessionNotFound => Code::SessionNotFound,
            Self::UsernameExists => Code::UsernameExists,
            Self::EmailExists => Code::EmailExists,
            Self::KeyExists => Code::KeyExists,
            Self::PreconditionFailed(_) | Self::ImpossiblePrecondition(_) => Code::PreconditionFailed,
            Self::Unavailable(_) => Code::ServiceUnavailable,
            Self::Internal(_) => Code::InternalServerError,
        }
    }

    /// Returns the status of the code. A failed re-authentication is an exception: 401 would mean an invalid access
    /// token.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::WrongPassword => StatusCode::FORBIDDEN,
            error => error.code().status(),
        }
    }

    /// Returns the message for the caller, which never contains an internal cause.
    pub fn message(&self) -> String {
        let message = match self {
            Self::Invalid(faults) => {
                let messages: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
                return messages.join("; ");
            }
            Self::TooManyAttempts(wait) => {
                let (seconds, plural) = (wait.as_secs(), if wait.as_secs() == 1 { "" } else { "s" });
                return format!("Too many attempts. Try again in {seconds} second{plural}.");
            }
            Self::InvalidCredentials => "The username or password is wrong.",
            Self::WrongPassword => "The password is wrong.",
            Self::MissingToken => "Send an access token in the header `Authorization: Bearer <token>`.",
            Self::InvalidToken(_) => "The access token is invalid, expired, or revoked. Sign in again.",
            Self::InvalidRefreshToken => "The refresh token is invalid, expired, or revoked. Sign in again.",
            Self::InvalidCode => "The code is wrong, expired, or used. Check it, or request a new one.",
            Self::EmailNotVerified(_) => {
                "The email address is not verified. A code is on its way to it. Send the code and this handle to \
                 POST /api/email-verification/confirm, then sign in again."
            }
            Self::MailNotConfigured => "This service sends no mail. Ask its operator for help.",
            Self::QuotaExceeded => "The storage quota is used up. Delete some values and retry.",
            Self::RegistrationClosed => "Registration is closed. Ask the operator of this service for an account.",
            Self::AccountDisabled => "This account is disabled. Ask the operator of this service.",
            Self::UserNotFound => "No account has this id. GET /api/admin/users lists accounts.",
            Self::KeyNotFound => "No value is stored under this key.",
            Self::SessionNotFound => "No such session. GET /api/sessions lists your sessions.",
            Self::UsernameExists => "This username is taken. Choose another one.",
            Self::EmailExists => "An account with this email address exists. Sign in with it.",
            Self::KeyExists => "A value is already stored under this key. Replace it with PUT.",
            Self::PreconditionFailed(_) => {
                "The stored version does not match the precondition. Fetch the current version and retry."
            }
            Self::ImpossiblePrecondition(message) => message,
            Self::Unavailable(_) => "The service is temporarily unavailable. Retry later.",
            Self::Internal(_) => "An internal error occurred.",
        };
        message.to_owned()
    }

    /// Returns the faults that the response lists in `errors`.
    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::Invalid(faults) => faults,
            _ => &[],
        }
    }

    /// Returns the challenge of a 401 (RFC 6750 §3). It contains a reason only if the request contained a token.
    pub fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::MissingToken | Self::InvalidCredentials | Self::InvalidCode => Some("Bearer"),
            Self::InvalidToken(_) | Self::InvalidRefreshToken => Some(r#"Bearer error="invalid_token""#),
            _ => None,
        }
    }

    /// Returns the handle of the code that was mailed.
    pub fn handle(&self) -> Option<Handle> {
        match self {
            Self::EmailNotVerified(handle) => Some(*handle),
            _ => None,
        }
    }

    /// Returns the stored version for the response to a failed precondition.
    pub fn version(&self) -> Option<Version> {
        match self {
            Self::PreconditionFailed(version) => *version,
            _ => None,
        }
    }

    /// Returns the time to wait before the next attempt, in whole seconds (RFC 9110 §10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable(_) => Some(Duration::from_secs(1)),
            Self::TooManyAttempts(wait) => Some(*wait),
            _ => None,
        }
    }
}

/// Lists fields and codes for the log. Messages are left out because they may quote the request.
fn summary(faults: &[Fault]) -> String {
    let places: Vec<String> = faults.iter().map(|fault| format!("{} {}", fault.field, fault.code.as_str())).collect();
    places.join(", ")
}
