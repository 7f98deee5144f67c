//! Content negotiation (RFC 9110 §12).

use super::Request;

/// Whether the caller accepts responses compressed with gzip.
pub fn accepts_gzip(request: &Request) -> bool {
    lists(request, "accept-encoding", "gzip")
}

/// Whether the `Accept` header of the request names a media type. A wildcard does not count.
pub(crate) fn accepts(request: &Request, media_type: &str) -> bool {
    lists(request, "accept", media_type)
}

/// Whether a header lists `name` with a quality other than 0.
fn lists(request: &Request, header: &str, name: &str) -> bool {
    let values = request.headers.get_all(header).flatten();
    values.flat_map(|value| value.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let matches = parts.next().is_some_and(|given| given.eq_ignore_ascii_case(name));
        let is_excluded = parts.any(|parameter| {
            let quality = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
            quality.is_some_and(|(_, value)| value.trim().parse() == Ok(0.0))
        });
        matches && !is_excluded
    })
}
