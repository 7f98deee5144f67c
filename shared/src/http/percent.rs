//! Percent-decoding of URL parts.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The error of a text that is not percent-encoded UTF-8.
pub(super) struct BrokenEncoding;

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
