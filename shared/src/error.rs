//! The contract's failures: the one place that knows codes, statuses and the sentences a caller reads.
//!
//! A module below has a small error about its own subject; `From` brings it here. What the caller is told and what the log
//! is told are two sentences: a [`Fault`]'s message says what to change, the source of a 5xx goes to the log alone.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::time::Duration;

use lambda_http::http::StatusCode;
use serde::Serialize;

use crate::auth::access_token::InvalidAccessToken;
use crate::auth::password_hash::HashError;
use crate::auth::refresh_token::InvalidRefreshToken;
use crate::db;
use crate::domain::{InvalidId, InvalidKey, InvalidValue};

/// Anything that can stop a function from starting or an invocation from being understood at all.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What clients switch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the names are the contract's own")]
pub enum Code {
    InvalidRequest,
    InvalidPassword,
    InvalidAge,
    GenderRequired,
    MissingFields,
    InvalidKey,
    InvalidValue,
    InvalidCredentials,
    InvalidToken,
    QuotaExceeded,
    KeyNotFound,
    SessionNotFound,
    UsernameExists,
    EmailExists,
    KeyExists,
    PreconditionFailed,
    PayloadTooLarge,
    UnsupportedMediaType,
    TooManyAttempts,
    InternalServerError,
    ServiceUnavailable,
}

impl Code {
    /// The status that goes with it; but see [`ApiError::status`].
    fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest
            | Self::InvalidPassword
            | Self::InvalidAge
            | Self::GenderRequired
            | Self::MissingFields
            | Self::InvalidKey
            | Self::InvalidValue => StatusCode::BAD_REQUEST,
            Self::InvalidCredentials | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::QuotaExceeded => StatusCode::FORBIDDEN,
            Self::KeyNotFound | Self::SessionNotFound => StatusCode::NOT_FOUND,
            Self::UsernameExists | Self::EmailExists | Self::KeyExists => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// One thing that is wrong with a request, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The member of the body, the parameter or the header; `body` for the whole.
    pub field: Cow<'static, str>,
    /// What clients switch on.
    pub code: Code,
    /// What to change.
    pub message: String,
}

impl Fault {
    /// A fault of `field`; `message` tells the caller what to change.
    pub fn new(field: impl Into<Cow<'static, str>>, code: Code, message: impl ToString) -> Self {
        Self { field: field.into(), code, message: message.to_string() }
    }
}

/// Why a request has no success to report.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request, or an operation of a batch, is wrong in one or several places.
    #[error("the request has faults: {}", places(.0))]
    Invalid(Vec<Fault>),
    /// A wrong password or an unknown user; which of them is nobody's business.
    #[error("wrong username or password")]
    InvalidCredentials,
    /// A signed-in user has to repeat their password, and that was not it.
    #[error("wrong password")]
    WrongPassword,
    /// Passwords of this account were guessed at too often; for how many whole seconds no more are looked at.
    #[error("too many attempts")]
    TooManyAttempts(Duration),
    /// The request has no credentials at all.
    #[error("no bearer token")]
    MissingToken,
    /// The request has credentials that are no good.
    #[error("bad bearer token")]
    InvalidToken(#[source] Option<InvalidAccessToken>),
    /// The refresh token is unknown, used up, or its session has ended.
    #[error("bad refresh token")]
    InvalidRefreshToken,
    /// The user has stored as much as they may.
    #[error("quota exceeded")]
    QuotaExceeded,
    /// The caller has nothing under this key.
    #[error("key not found")]
    KeyNotFound,
    /// The caller has no such session.
    #[error("session not found")]
    SessionNotFound,
    /// Somebody has this username.
    #[error("username exists")]
    UsernameExists,
    /// Somebody has this e-mail address.
    #[error("email exists")]
    EmailExists,
    /// The caller has something under this key.
    #[error("key exists")]
    KeyExists,
    /// The value is not the one the caller thinks it is.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The database is out of reach, or too slow.
    #[error("service unavailable")]
    Unavailable(#[source] BoxError),
    /// Something that should not happen did.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

impl ApiError {
    /// A request with one fault.
    pub fn invalid(field: &'static str, code: Code, message: impl ToString) -> Self {
        Self::Invalid(vec![Fault::new(field, code, message)])
    }

    /// What clients switch on; of several faults, the first one's.
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(faults) => faults.first().map_or(Code::InvalidRequest, |fault| fault.code),
            Self::InvalidCredentials | Self::WrongPassword => Code::InvalidCredentials,
            Self::TooManyAttempts(_) => Code::TooManyAttempts,
            Self::MissingToken | Self::InvalidToken(_) | Self::InvalidRefreshToken => Code::InvalidToken,
            Self::QuotaExceeded => Code::QuotaExceeded,
            Self::KeyNotFound => Code::KeyNotFound,
            Self::SessionNotFound => Code::SessionNotFound,
            Self::UsernameExists => Code::UsernameExists,
            Self::EmailExists => Code::EmailExists,
            Self::KeyExists => Code::KeyExists,
            Self::PreconditionFailed => Code::PreconditionFailed,
            Self::Unavailable(_) => Code::ServiceUnavailable,
            Self::Internal(_) => Code::InternalServerError,
        }
    }

    /// The status: the code's, but for the one code that has two. Where a password is repeated, 401 would say that the
    /// access token is no good.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::WrongPassword => StatusCode::FORBIDDEN,
            error => error.code().status(),
        }
    }

    /// What the caller reads. Never a cause from inside.
    pub fn message(&self) -> String {
        match self {
            Self::Invalid(faults) => {
                let messages: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
                messages.join("; ")
            }
            Self::InvalidCredentials => "The username or the password is wrong".to_owned(),
            Self::WrongPassword => "The password is wrong".to_owned(),
            Self::TooManyAttempts(wait) => {
                format!("Too many attempts with a wrong password: try again in {} s", wait.as_secs())
            }
            Self::MissingToken => "Send an access token: `Authorization: Bearer <token>`".to_owned(),
            Self::InvalidToken(_) => "The access token is invalid, expired or revoked: sign in again".to_owned(),
            Self::InvalidRefreshToken => "The refresh token is invalid, expired or revoked: sign in again".to_owned(),
            Self::QuotaExceeded => "You have stored as much as you may: delete something first".to_owned(),
            Self::KeyNotFound => "You have stored nothing under this key".to_owned(),
            Self::SessionNotFound => "You have no such session: GET /api/sessions lists them".to_owned(),
            Self::UsernameExists => "This username is taken: choose another".to_owned(),
            Self::EmailExists => "This email address has an account already: sign in with it".to_owned(),
            Self::KeyExists => "You have stored something under this key already: change it with PUT".to_owned(),
            Self::PreconditionFailed => "The stored version is not the one you name: read it again".to_owned(),
            Self::Unavailable(_) => "The service is not available for the moment: try again".to_owned(),
            Self::Internal(_) => "Something went wrong on our side".to_owned(),
        }
    }

    /// The faults to list one by one.
    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::Invalid(faults) => faults,
            _ => &[],
        }
    }

    /// The challenge that goes with a 401 (RFC 6750 §3): with no credentials a bare one, with bad ones the reason.
    pub fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::MissingToken | Self::InvalidCredentials => Some("Bearer"),
            Self::InvalidToken(_) | Self::InvalidRefreshToken => Some(r#"Bearer error="invalid_token""#),
            _ => None,
        }
    }

    /// How long to wait before the next try, in whole seconds (RFC 9110 §10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable(_) => Some(Duration::from_secs(1)),
            Self::TooManyAttempts(wait) => Some(*wait),
            _ => None,
        }
    }
}

/// For the log: what is wrong with what. The messages may quote the request.
fn places(faults: &[Fault]) -> String {
    let places: Vec<String> = faults.iter().map(|fault| format!("{} {:?}", fault.field, fault.code)).collect();
    places.join(", ")
}

impl From<InvalidKey> for ApiError {
    fn from(error: InvalidKey) -> Self {
        Self::invalid("key", Code::InvalidKey, error)
    }
}

/// What is no id is no session's.
impl From<InvalidId> for ApiError {
    fn from(_: InvalidId) -> Self {
        Self::SessionNotFound
    }
}

impl From<InvalidRefreshToken> for ApiError {
    fn from(_: InvalidRefreshToken) -> Self {
        Self::InvalidRefreshToken
    }
}

impl From<InvalidValue> for Code {
    fn from(error: InvalidValue) -> Self {
        match error {
            InvalidValue::TooLarge => Self::PayloadTooLarge,
            InvalidValue::TooDeep => Self::InvalidValue,
        }
    }
}

impl From<db::Error> for ApiError {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Unavailable(_) => Self::Unavailable(Box::new(error)),
            _ => Self::Internal(Box::new(error)),
        }
    }
}

impl From<db::users::Refusal> for ApiError {
    fn from(refusal: db::users::Refusal) -> Self {
        match refusal {
            db::users::Refusal::UsernameTaken => Self::UsernameExists,
            db::users::Refusal::EmailTaken => Self::EmailExists,
            db::users::Refusal::SessionEnded => Self::InvalidToken(None),
            db::users::Refusal::PasswordChanged => Self::WrongPassword,
            db::users::Refusal::Database(error) => error.into(),
        }
    }
}

impl From<db::sessions::Refusal> for ApiError {
    fn from(refusal: db::sessions::Refusal) -> Self {
        match refusal {
            db::sessions::Refusal::SessionEnded => Self::InvalidToken(None),
            db::sessions::Refusal::NotFound => Self::SessionNotFound,
            db::sessions::Refusal::Database(error) => error.into(),
        }
    }
}

impl From<db::data::Refusal> for ApiError {
    fn from(refusal: db::data::Refusal) -> Self {
        match refusal {
            db::data::Refusal::SessionEnded => Self::InvalidToken(None),
            db::data::Refusal::NotFound => Self::KeyNotFound,
            db::data::Refusal::Exists => Self::KeyExists,
            db::data::Refusal::VersionDiffers => Self::PreconditionFailed,
            db::data::Refusal::QuotaExceeded => Self::QuotaExceeded,
            db::data::Refusal::Database(error) => error.into(),
        }
    }
}

impl From<db::data::BatchRefusal> for ApiError {
    fn from(refusal: db::data::BatchRefusal) -> Self {
        match refusal {
            db::data::BatchRefusal::Operations(refused) => Self::Invalid(
                refused
                    .into_iter()
                    .map(|(place, refusal)| {
                        let error = Self::from(refusal);
                        let (code, message) = (error.code(), error.message());
                        Fault::new(format!("operations[{place}]"), code, format!("operation {place}: {message}"))
                    })
                    .collect(),
            ),
            db::data::BatchRefusal::AnswerTooLarge => {
                let limit = db::data::PAGE_BYTES;
                let message = format!("the values would have more than {limit} bytes together: get fewer at once");
                Self::invalid("operations", Code::PayloadTooLarge, message)
            }
            db::data::BatchRefusal::Whole(refusal) => refusal.into(),
        }
    }
}

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<getrandom::Error> for ApiError {
    fn from(error: getrandom::Error) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<jsonwebtoken::errors::Error> for ApiError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        Self::Internal(Box::new(error))
    }
}
