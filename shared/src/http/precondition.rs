//! Preconditions of requests (RFC 9110 §13). The entity tag of a value is its version, as a strong tag.

use super::Request;
use crate::domain::{Version, VersionMatch};
use crate::error::{ApiError, Code};

/// Reads `If-Match`. A tag that is weak or not a version is valid but matches no value.
///
/// # Errors
/// The header is not a list of entity tags.
pub fn if_match(request: &Request) -> Result<Option<VersionMatch>, ApiError> {
    read_versions(request, "if-match", |tag| !tag.weak)
}

/// Reads `If-None-Match`. Weak tags count too (RFC 9110 §13.1.2).
///
/// # Errors
/// The header is not a list of entity tags.
pub fn if_none_match(request: &Request) -> Result<Option<VersionMatch>, ApiError> {
    read_versions(request, "if-none-match", |_| true)
}

/// Whether `If-None-Match` matches the current entity tag of a document.
///
/// # Errors
/// The header is not a list of entity tags.
pub fn matches_etag(request: &Request, tag: &str) -> Result<bool, ApiError> {
    Ok(match read_tags(request, "if-none-match")? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::Listed(tags)) => tags.iter().any(|known| known.opaque == tag),
    })
}

/// Reads the versions that a header names, except for tags that `counts` excludes.
fn read_versions(
    request: &Request,
    name: &'static str,
    counts: impl Fn(&Tag<'_>) -> bool,
) -> Result<Option<VersionMatch>, ApiError> {
    Ok(read_tags(request, name)?.map(|tags| match tags {
        Tags::Any => VersionMatch::Any,
        Tags::Listed(tags) => {
            VersionMatch::Among(tags.iter().filter(|tag| counts(tag)).filter_map(Tag::version).collect())
        }
    }))
}

/// The value of a precondition header.
enum Tags<'a> {
    Any,
    Listed(Vec<Tag<'a>>),
}

/// An entity tag.
struct Tag<'a> {
    weak: bool,
    opaque: &'a str,
}

impl Tag<'_> {
    fn version(&self) -> Option<Version> {
        let number: i64 = self.opaque.parse().ok()?;
        // Rejects `+1` and `01`, which parse as numbers.
        (number.to_string() == self.opaque).then(|| Version::from(number))
    }
}

/// Parses a precondition header; none if the request does not have it.
fn read_tags<'a>(request: &'a Request, name: &'static str) -> Result<Option<Tags<'a>>, ApiError> {
    let invalid = || {
        let message = format!(r#"{name} must be * or a list of entity tags such as "1", "2""#);
        ApiError::invalid(name, Code::InvalidRequest, message)
    };
    let mut tags = Vec::new();
    let mut lines = 0;
    for line in request.headers.get_all(name) {
        lines += 1;
        let line = line.ok_or_else(invalid)?.trim();
        if line == "*" && request.headers.get_all(name).count() == 1 {
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
