//! Path parameters.

use std::borrow::Cow;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Request;
use super::percent::{BrokenEncoding, decode};
use super::request::PathParameters;
use crate::domain::{InvalidId, InvalidKey, Key, UserId};
use crate::error::ApiError;

/// The characters to encode in a path: all but the unreserved ones (RFC 3986 §2.3) and the slash between segments.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Reads the path parameter `name`. It is percent-decoded exactly once, by the gateway or here.
///
/// # Errors
/// It is missing, its encoding is broken, or the type rejects it.
pub fn path<T>(request: &Request, name: &str) -> Result<T, ApiError>
where
    T: FromStr<Err: Into<ApiError> + From<InvalidParameter>>,
{
    let text = match &request.path_parameters {
        PathParameters::Decoded(parameters) => Ok(parameters.get(name).map(Cow::Borrowed)),
        PathParameters::AsSent(parameters) => {
            parameters.get(name).map(decode).transpose().map_err(|BrokenEncoding| InvalidParameter::Encoding)
        }
        PathParameters::Disputed => Err(InvalidParameter::Disputed),
    };
    let parsed = text.map_err(T::Err::from).and_then(|text| text.unwrap_or_default().parse());
    parsed.map_err(Into::into)
}

/// Reads the path parameter `id` of an admin route.
///
/// # Errors
/// `UserNotFound`, if it is not an id.
pub fn user_id(request: &Request) -> Result<UserId, ApiError> {
    path::<UserId>(request, "id").map_err(|_| ApiError::UserNotFound)
}

/// Returns the path of the value under `key`, which [`path`] reads back.
pub fn data_path(key: &Key) -> String {
    format!("/api/data/{}", utf8_percent_encode(key.as_str(), PATH))
}

/// Why a path parameter has no value. Types that are read from a path convert it into their own error.
pub enum InvalidParameter {
    /// It is not percent-encoded UTF-8.
    Encoding,
    /// The gateway has delivered it in different forms.
    Disputed,
}

impl From<InvalidParameter> for InvalidKey {
    fn from(error: InvalidParameter) -> Self {
        match error {
            InvalidParameter::Encoding => Self::Encoding,
            InvalidParameter::Disputed => Self::Disputed,
        }
    }
}

impl From<InvalidParameter> for InvalidId {
    fn from(_: InvalidParameter) -> Self {
        Self
    }
}
