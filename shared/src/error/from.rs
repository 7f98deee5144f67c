//! Conversions of the errors of other modules into errors of the API.

use super::{ApiError, Code, Fault};
use crate::auth::access_token::SigningError;
use crate::auth::password_hash::HashError;
use crate::auth::refresh_token::InvalidRefreshToken;
use crate::db;
use crate::domain::{InvalidId, InvalidKey, InvalidValue};
use crate::mail::OutboxError;

impl From<InvalidKey> for ApiError {
    fn from(error: InvalidKey) -> Self {
        Self::invalid("key", Code::InvalidKey, error)
    }
}

/// Reports a malformed id like an unknown one.
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
            db::Error::SessionEnded => Self::InvalidToken(None),
            db::Error::Unavailable(_) => Self::Unavailable(Box::new(error)),
            db::Error::Rejected(_) | db::Error::Corrupt { .. } => Self::internal(error),
        }
    }
}

impl From<db::users::Error> for ApiError {
    fn from(error: db::users::Error) -> Self {
        match error {
            db::users::Error::UsernameTaken => Self::UsernameExists,
            db::users::Error::EmailTaken => Self::EmailExists,
            db::users::Error::Database(error) => error.into(),
        }
    }
}

impl From<db::sessions::Error> for ApiError {
    fn from(error: db::sessions::Error) -> Self {
        match error {
            db::sessions::Error::NotFound => Self::SessionNotFound,
            db::sessions::Error::Database(error) => error.into(),
        }
    }
}

impl From<db::data::Error> for ApiError {
    fn from(error: db::data::Error) -> Self {
        match error {
            db::data::Error::NotFound => Self::KeyNotFound,
            db::data::Error::Exists(_) => Self::KeyExists,
            db::data::Error::VersionMismatch(version) => Self::PreconditionFailed(version),
            db::data::Error::QuotaExceeded => Self::QuotaExceeded,
            db::data::Error::Database(error) => error.into(),
        }
    }
}

impl From<db::data::BatchError> for ApiError {
    fn from(error: db::data::BatchError) -> Self {
        match error {
            db::data::BatchError::Operations(failed) => {
                Self::Invalid(failed.into_iter().map(|(index, error)| operation_fault(index, error)).collect())
            }
            db::data::BatchError::ResponseTooLarge => {
                let limit = db::data::PAGE_BYTES;
                let message = format!("the requested values exceed {limit} bytes: request fewer at once");
                Self::invalid("operations", Code::PayloadTooLarge, message)
            }
            db::data::BatchError::Data(error) => error.into(),
        }
    }
}

/// Makes the fault of a failed operation of a batch.
fn operation_fault(index: usize, error: db::data::Error) -> Fault {
    let error = ApiError::from(error);
    let message = error.message();
    // The response joins the messages of several faults by semicolons.
    let message = message.trim_end_matches('.');
    Fault::new(format!("operations[{index}]"), error.code(), format!("operation {index}: {message}"))
}

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        Self::internal(error)
    }
}

impl From<getrandom::Error> for ApiError {
    fn from(error: getrandom::Error) -> Self {
        Self::internal(error)
    }
}

impl From<OutboxError> for ApiError {
    fn from(error: OutboxError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<SigningError> for ApiError {
    fn from(error: SigningError) -> Self {
        Self::internal(error)
    }
}
