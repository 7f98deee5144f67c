use std::borrow::Cow;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::Request;
use super::request::PathParameters;
use crate::domain::{InvalidKey, Key};
use crate::error::ApiError;

/// The path parameter `name`, percent-encoding undone exactly once, as the type that the caller wants.
///
/// # Errors
/// It is missing, its encoding is broken, or the type refuses it.
pub fn path<T>(request: &Request, name: &str) -> Result<T, ApiError>
where
    T: FromStr<Err: Into<ApiError>>,
{
    let text = match &request.path_parameters {
        PathParameters::Decoded(parameters) => parameters.get(name).map(|text| Cow::Borrowed(text.as_str())),
        PathParameters::AsSent(parameters) => parameters.get(name).map(|text| decode(text)).transpose()?,
    };
    text.unwrap_or_default().parse().map_err(Into::into)
}

fn decode(text: &str) -> Result<Cow<'_, str>, InvalidKey> {
    // The decoder lets a `%` that encodes nothing stand; a client that forgot to encode it should hear of it.
    let stray_percent = text.split('%').skip(1).any(|rest| {
        let mut digits = rest.bytes();
        !(digits.next().is_some_and(|byte| byte.is_ascii_hexdigit())
            && digits.next().is_some_and(|byte| byte.is_ascii_hexdigit()))
    });
    if stray_percent {
        return Err(InvalidKey::Encoding);
    }
    percent_decode_str(text).decode_utf8().map_err(|_| InvalidKey::Encoding)
}

/// RFC 3986 §2.3's unreserved characters, and the slash between segments.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Where the value under `key` is: a path that [`path`] reads back.
pub fn data_path(key: &Key) -> String {
    format!("/api/data/{}", utf8_percent_encode(key.as_str(), PATH))
}
