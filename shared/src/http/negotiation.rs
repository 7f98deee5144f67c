//! What a caller takes for an answer (RFC 9110 §12.4 and §12.5).

use lambda_http::http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

use super::Request;

/// Whether it takes an answer that gzip has compressed.
pub fn takes_gzip(request: &Request) -> bool {
    names(request, ACCEPT_ENCODING, "gzip")
}

/// Whether it takes a media type, which it has to name: that it takes anything does not count.
pub(crate) fn takes(request: &Request, media_type: &str) -> bool {
    names(request, ACCEPT, media_type)
}

/// Whether a header's list has `name`, and does not say that it is not wanted.
fn names(request: &Request, header: HeaderName, name: &str) -> bool {
    let values = request.headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|given| given.eq_ignore_ascii_case(name));
        let refused = parts.any(|parameter| {
            let quality = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
            quality.is_some_and(|(_, value)| value.trim().parse() == Ok(0.0))
        });
        named && !refused
    })
}
