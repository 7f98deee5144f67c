//! Preconditions of requests (RFC 9110 §13). The entity tag of a value is its version, as a strong tag.
//!
//! Handlers of resources with entity tags evaluate them. Without entity tags, `If-None-Match` has no effect, and a write rejects
//! a list of tags in `If-Match`, which would be lost otherwise.

use lambda_http::http::Method;

use super::{Request, Route};
use crate::domain::{Version, VersionMatch};
use crate::error::{ApiError, Code};

/// Reads `If-Match`. A tag that is weak or not a version is valid but matches no value (RFC 9110 §13.1.1).
///
/// # Errors
/// The header is not a list of entity tags, or all of them are weak.
pub fn if_match(request: &Request) -> Result<Option<VersionMatch>, ApiError> {
    Ok(match read_tags(request, "if-match")? {
        None => None,
        Some(Tags::Any) => Some(VersionMatch::Any),
        Some(Tags::Listed(tags)) if tags.iter().all(|tag| tag.weak) => {
            return Err(ApiError::ImpossiblePrecondition(
                r#"A weak entity tag (W/"…") in If-Match never matches. Send it without W/, which a proxy may have added."#,
            ));
        }
        Some(Tags::Listed(tags)) => Some(versions(tags.iter().filter(|tag| !tag.weak))),
    })
}

/// Reads `If-None-Match`. Weak tags count too (RFC 9110 §13.1.2).
///
/// # Errors
/// The header is not a list of entity tags.
pub fn if_none_match(request: &Request) -> Result<Option<VersionMatch>, ApiError> {
    Ok(read_tags(request, "if-none-match")?.map(|tags| match tags {
        Tags::Any => VersionMatch::Any,
        Tags::Listed(tags) => versions(tags.iter()),
    }))
}

fn versions<'a>(tags: impl Iterator<Item = &'a Tag<'a>>) -> VersionMatch {
    VersionMatch::Among(tags.filter_map(Tag::version).collect())
}

/// The entity tag of a document, without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntityTag<'a> {
    /// The text between the quotes.
    pub(super) opaque: &'a str,
    /// Whether documents with the tag may differ in their bytes (RFC 9110 §8.8.1).
    pub(super) weak: bool,
}

/// Evaluates the preconditions of a document, and returns whether the caller has the current one.
///
/// # Errors
/// A header is not a list of entity tags, or `If-Match` does not match.
pub(super) fn has_current(request: &Request, current: EntityTag<'_>) -> Result<bool, ApiError> {
    let required = match read_tags(request, "if-match")? {
        None | Some(Tags::Any) => true,
        Some(Tags::Listed(tags)) => !current.weak && tags.iter().any(|tag| !tag.weak && tag.opaque == current.opaque),
    };
    if !required {
        return Err(ApiError::PreconditionFailed(None));
    }
    Ok(match read_tags(request, "if-none-match")? {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::Listed(tags)) => tags.iter().any(|tag| tag.opaque == current.opaque),
    })
}

/// Rejects a write whose `If-Match` lists tags although the resource has none.
///
/// # Errors
/// The precondition cannot be true.
pub(crate) fn reject_impossible_preconditions(route: &Route, request: &Request) -> Result<(), ApiError> {
    if route.has_entity_tags || route.method == Method::GET {
        return Ok(());
    }
    match request.header("if-match") {
        Some(tags) if tags.trim() != "*" => Err(ApiError::ImpossiblePrecondition(
            "This resource has no entity tags. Send the request without If-Match.",
        )),
        _ => Ok(()),
    }
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
