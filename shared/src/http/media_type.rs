//! The media type of a request body.

use mime::{APPLICATION, CHARSET, JSON, Mime, UTF_8};

use super::headers::Headers;

/// Whether the body is JSON in UTF-8 by its `Content-Type`. A missing or empty header counts as JSON. US-ASCII is a part of UTF-8.
pub(super) fn is_json(headers: &Headers) -> bool {
    let mut types = headers.get_all("content-type");
    let Some(content_type) = types.next() else { return true };
    // The headers of most requests.
    if matches!(content_type, Some("application/json" | "")) {
        return types.next().is_none();
    }
    // `mime` rejects white space before a semicolon, which RFC 9110 allows.
    let parts: Vec<_> = content_type.unwrap_or_default().split(';').map(str::trim).collect();
    let Ok(media_type) = parts.join(";").parse::<Mime>() else {
        return false;
    };
    let is_json = media_type.type_() == APPLICATION && media_type.suffix().unwrap_or(media_type.subtype()) == JSON;
    let is_utf8 = media_type
        .params()
        .all(|(name, value)| name != CHARSET || value == UTF_8 || value == "utf8" || value == "us-ascii");
    is_json && is_utf8 && types.next().is_none()
}

/// Returns the content coding of the body; none if it has none.
pub(super) fn content_encoding(headers: &Headers) -> Option<&str> {
    let codings = headers.get_all("content-encoding").map(|coding| coding.unwrap_or("unknown").trim());
    codings.into_iter().find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_types: &[&str]) -> Headers {
        let members = content_types.iter().map(|value| format!("\"Content-Type\":{}", serde_json::json!(value)));
        let members: Vec<String> = members.collect();
        serde_json::from_str(&format!("{{{}}}", members.join(","))).expect("headers")
    }

    fn accepts(content_type: &str) -> bool {
        is_json(&headers(&[content_type]))
    }

    #[test]
    fn json_in_utf_8_is_accepted() {
        assert!(is_json(&headers(&[])));
        for content_type in [
            "application/json",
            "APPLICATION/JSON",
            "application/problem+json",
            "application/json;",
            "application/json ; charset=utf-8",
            "application/json;\tCharset=\"UTF8\"; profile=\"a; b\"",
            "application/json; charset=US-ASCII",
            "",
        ] {
            assert!(accepts(content_type), "{content_type}");
        }
    }

    #[test]
    fn other_types_and_charsets_are_rejected() {
        for content_type in [
            "json",
            "text/json",
            "application/json+xml",
            "application/jsonl",
            "application/json; charset=utf-8; charset=utf-16",
            "application/json; charset=iso-8859-1",
            "application/json, application/json",
        ] {
            assert!(!accepts(content_type), "{content_type}");
        }
    }

    #[test]
    fn a_repeated_header_is_rejected() {
        assert!(!is_json(&headers(&["application/json", "application/json"])));
    }
}
