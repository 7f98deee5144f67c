//! Error codes of the API and their statuses.

use std::borrow::Cow;

use lambda_http::http::StatusCode;
use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($name:ident $text:literal $status:ident)*) => {
        /// An error code, by which clients distinguish errors.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names are the codes")]
        pub enum Code { $($name),* }

        impl Code {
            /// Returns the code in the form that clients get, for example `KEY_NOT_FOUND`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// Returns the status of the code. [`super::ApiError::status`] has an exception.
            pub(super) fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status),* }
            }
        }
    };
}

codes! {
    InvalidRequest       "INVALID_REQUEST"        BAD_REQUEST
    InvalidPassword      "INVALID_PASSWORD"       BAD_REQUEST
    InvalidAge           "INVALID_AGE"            BAD_REQUEST
    GenderRequired       "GENDER_REQUIRED"        BAD_REQUEST
    MissingFields        "MISSING_FIELDS"         BAD_REQUEST
    InvalidKey           "INVALID_KEY"            BAD_REQUEST
    InvalidValue         "INVALID_VALUE"          BAD_REQUEST
    InvalidCredentials   "INVALID_CREDENTIALS"    UNAUTHORIZED
    InvalidToken         "INVALID_TOKEN"          UNAUTHORIZED
    InvalidCode          "INVALID_CODE"           UNAUTHORIZED
    EmailNotVerified     "EMAIL_NOT_VERIFIED"     FORBIDDEN
    MailNotConfigured    "MAIL_NOT_CONFIGURED"    FORBIDDEN
    QuotaExceeded        "QUOTA_EXCEEDED"         FORBIDDEN
    RegistrationClosed   "REGISTRATION_CLOSED"    FORBIDDEN
    AccountDisabled      "ACCOUNT_DISABLED"       FORBIDDEN
    UserNotFound         "USER_NOT_FOUND"         NOT_FOUND
    KeyNotFound          "KEY_NOT_FOUND"          NOT_FOUND
    SessionNotFound      "SESSION_NOT_FOUND"      NOT_FOUND
    UsernameExists       "USERNAME_EXISTS"        CONFLICT
    EmailExists          "EMAIL_EXISTS"           CONFLICT
    KeyExists            "KEY_EXISTS"             CONFLICT
    PreconditionFailed   "PRECONDITION_FAILED"    PRECONDITION_FAILED
    PayloadTooLarge      "PAYLOAD_TOO_LARGE"      PAYLOAD_TOO_LARGE
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" UNSUPPORTED_MEDIA_TYPE
    TooManyAttempts      "TOO_MANY_ATTEMPTS"      TOO_MANY_REQUESTS
    InternalServerError  "INTERNAL_SERVER_ERROR"  INTERNAL_SERVER_ERROR
    ServiceUnavailable   "SERVICE_UNAVAILABLE"    SERVICE_UNAVAILABLE
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A fault of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The member of the body, the parameter, or the header; `body` for the body as a whole.
    pub field: Cow<'static, str>,
    /// The code.
    pub code: Code,
    /// The message for the caller. It says what to change.
    pub message: String,
}

impl Fault {
    /// Makes a fault of `field`.
    pub fn new(field: impl Into<Cow<'static, str>>, code: Code, message: impl ToString) -> Self {
        Self { field: field.into(), code, message: message.to_string() }
    }
}
