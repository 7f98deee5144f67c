//! Path parameters and percent-encoding.

use std::borrow::Cow;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::Request;
use super::request::PathParameters;
use crate::domain::{InvalidId, InvalidKey, Key};
use crate::error::ApiError;

/// The characters to encode in a path: all but the unreserved ones (RFC 3986 §2.3) and the slash between segments.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Reads the path parameter `name`. It is percent-decoded exactly once, by the gateway or here.
///
/// # Errors
/// It is missing, its encoding is broken, or the type rejects it.
pub fn path<T>(request: &Request, name: &str) -> Result<T, ApiError>
where
    T: FromStr<Err: Into<ApiError> + From<BrokenEncoding>>,
{
    let text = match &request.path_parameters {
        PathParameters::Decoded(parameters) => Ok(parameters.get(name).map(Cow::Borrowed)),
        PathParameters::AsSent(parameters) => parameters.get(name).map(decode).transpose(),
    };
    let parsed = text.map_err(T::Err::from).and_then(|text| text.unwrap_or_default().parse());
    parsed.map_err(Into::into)
}

/// Returns the path of the value under `key`, which [`path`] reads back.
pub fn data_path(key: &Key) -> String {
    format!("/api/data/{}", utf8_percent_encode(key.as_str(), PATH))
}

/// The error of a URL part that is not percent-encoded UTF-8. Types that are read from a path convert it into their own
/// error.
pub struct BrokenEncoding;

impl From<BrokenEncoding> for InvalidKey {
    fn from(_: BrokenEncoding) -> Self {
        Self::Encoding
    }
}

impl From<BrokenEncoding> for InvalidId {
    fn from(_: BrokenEncoding) -> Self {
        Self
    }
}

/// Percent-decodes a text once.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, BrokenEncoding> {
    // The decoder accepts a `%` without two digits. It is rejected here because the client has not encoded it.
    let stray_percent = text.split('%').skip(1).any(|rest| {
        let mut digits = rest.bytes();
        !(digits.next().is_some_and(|byte| byte.is_ascii_hexdigit())
            && digits.next().is_some_and(|byte| byte.is_ascii_hexdigit()))
    });
    if stray_percent {
        return Err(BrokenEncoding);
    }
    percent_decode_str(text).decode_utf8().map_err(|_| BrokenEncoding)
}
