//! Content negotiation (RFC 9110 §12).

use super::Request;

/// Whether the caller accepts responses compressed with gzip, and does not prefer uncompressed ones.
pub(super) fn accepts_gzip(request: &Request) -> bool {
    prefers(request, "accept-encoding", "gzip", &["identity"])
}

/// Whether a header names `wanted` with a quality other than 0 that is not less than that of the default. A wildcard does not
/// count as `wanted`. `defaults` are the names of the default, the most specific one first, which decides.
pub(super) fn prefers(request: &Request, header: &str, wanted: &str, defaults: &[&str]) -> bool {
    let quality = |name| quality(request, header, name);
    // Most requests do not name it.
    let Some(wanted) = quality(wanted).filter(|quality| *quality > 0.0) else { return false };
    wanted >= defaults.iter().find_map(|name| quality(name)).unwrap_or(0.0)
}

/// Returns the quality that a header gives to `name` (RFC 9110 §12.4.2): 1 unless it says otherwise, none without the name.
fn quality(request: &Request, header: &str, name: &str) -> Option<f32> {
    let values = request.headers.get_all(header).flatten();
    values.flat_map(|value| value.split(',')).find_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        parts.next().filter(|given| given.eq_ignore_ascii_case(name))?;
        let quality = parts.find_map(|parameter| {
            let (_, value) = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))?;
            value.trim().parse().ok()
        });
        Some(quality.unwrap_or(1.0))
    })
}
