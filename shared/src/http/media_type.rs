//! The media type of a request body.

use lambda_http::http::HeaderMap;
use lambda_http::http::header::CONTENT_TYPE;
use mime::{APPLICATION, CHARSET, JSON, Mime, UTF_8};

/// Whether `Content-Type` is absent or names JSON in UTF-8.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let Some(content_type) = types.next() else { return true };
    // `mime` rejects white space before a semicolon, which RFC 9110 allows.
    let parts: Vec<_> = content_type.to_str().unwrap_or_default().split(';').map(str::trim).collect();
    let Ok(media_type) = parts.join(";").parse::<Mime>() else {
        return false;
    };
    let is_json = media_type.type_() == APPLICATION && media_type.suffix().unwrap_or(media_type.subtype()) == JSON;
    let is_utf8 = media_type.params().all(|(name, value)| name != CHARSET || value == UTF_8 || value == "utf8");
    is_json && is_utf8 && types.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(content_type: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().expect("a header value"));
        is_json(&headers)
    }

    #[test]
    fn json_in_utf_8_is_accepted() {
        assert!(is_json(&HeaderMap::new()));
        for content_type in [
            "application/json",
            "APPLICATION/JSON",
            "application/problem+json",
            "application/json;",
            "application/json ; charset=utf-8",
            "application/json;\tCharset=\"UTF8\"; profile=\"a; b\"",
        ] {
            assert!(accepts(content_type), "{content_type}");
        }
    }

    #[test]
    fn other_types_and_charsets_are_rejected() {
        for content_type in [
            "",
            "json",
            "text/json",
            "application/json+xml",
            "application/jsonl",
            "application/json; charset=utf-8; charset=utf-16",
            "application/json, application/json",
        ] {
            assert!(!accepts(content_type), "{content_type}");
        }
    }

    #[test]
    fn a_repeated_header_is_rejected() {
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_TYPE, "application/json".parse().expect("a header value"));
        headers.append(CONTENT_TYPE, "application/json".parse().expect("a header value"));
        assert!(!is_json(&headers));
    }
}
