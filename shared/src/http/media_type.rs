//! The media type of a request body.

use lambda_http::http::HeaderMap;
use lambda_http::http::header::CONTENT_TYPE;

/// Whether the body is JSON in UTF-8 by its `Content-Type`. A missing header counts as JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let Some(content_type) = types.next() else { return true };
    let Ok(content_type) = content_type.to_str() else {
        return false;
    };
    let content_type = content_type.to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let is_json =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    let is_utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "utf8"),
        _ => true,
    });
    is_json && is_utf8 && types.next().is_none()
}
