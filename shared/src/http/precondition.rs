//! Conditional requests (RFC 9110 §13). The entity tag of a value is its version, and strong.

use super::Request;
use crate::domain::{Version, VersionMatch};
use crate::error::{ApiError, Code};

/// Reads `If-Match`. A weak tag, or one that is not a version, is valid but matches nothing.
///
/// # Errors
/// The header is not a list of entity tags.
pub fn if_match(request: &Request) -> Result<Option<VersionMatch>, ApiError> {
    named(request, "if-match", |tag| !tag.weak)
}

/// Reads `If-None-Match`. Its tags are compared weakly (RFC 9110 §13.1.2).
///
/// # Errors
/// The header is not a list of entity tags.
pub fn if_none_match(request: &Request) -> Result<Option<VersionMatch>, ApiError> {
    named(request, "if-none-match", |_| true)
}

/// Whether `If-None-Match` matches the current entity tag of a document.
///
/// # Errors
/// The header is not a list of entity tags.
pub fn matches_etag(request: &Request, tag: &str) -> Result<bool, ApiError> {
    Ok(match tags(request, "if-none-match")? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::Listed(tags)) => tags.iter().any(|known| known.opaque == tag),
    })
}

fn named(
    request: &Request,
    name: &'static str,
    counts: impl Fn(&Tag<'_>) -> bool,
) -> Result<Option<VersionMatch>, ApiError> {
    Ok(tags(request, name)?.map(|tags| match tags {
        Tags::Any => VersionMatch::Any,
        Tags::Listed(tags) => {
            VersionMatch::Among(tags.iter().filter(|tag| counts(tag)).filter_map(Tag::version).collect())
        }
    }))
}

enum Tags<'a> {
    Any,
    Listed(Vec<Tag<'a>>),
}

struct Tag<'a> {
    weak: bool,
    opaque: &'a str,
}

impl Tag<'_> {
    fn version(&self) -> Option<Version> {
        let number: i64 = self.opaque.parse().ok()?;
        // `+1` and `01` are numbers too, but not the form of a version.
        (number.to_string() == self.opaque).then(|| Version::from(number))
    }
}

fn tags<'a>(request: &'a Request, name: &'static str) -> Result<Option<Tags<'a>>, ApiError> {
    let invalid = || {
        let message = format!(r#"{name} must be * or a list of entity tags such as "1", "2""#);
        ApiError::invalid(name, Code::InvalidRequest, message)
    };
    let mut tags = Vec::new();
    let mut lines = 0;
    for line in request.headers.get_all(name) {
        lines += 1;
        let line = line.to_str().map_err(|_| invalid())?.trim();
        if line == "*" && request.headers.get_all(name).iter().count() == 1 {
            return Ok(Some(Tags::Any));
        }
        let mut rest = line;
        while !rest.is_empty() {
            let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
            let (opaque, after) =
                quoted.strip_prefix('"').and_then(|opened| opened.split_once('"')).ok_or_else(invalid)?;
            if !opaque.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(invalid());
            }
            tags.push(Tag { weak, opaque });
            rest = after.trim_start();
            if !rest.is_empty() {
                rest = rest.strip_prefix(',').ok_or_else(invalid)?.trim_start();
            }
        }
    }
    match (lines, tags.is_empty()) {
        (0, _) => Ok(None),
        (_, true) => Err(invalid()),
        _ => Ok(Some(Tags::Listed(tags))),
    }
}
