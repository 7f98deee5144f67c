use super::Request;
use crate::error::{ApiError, Code};

/// Whether the query has `name=true`.
///
/// # Errors
/// The parameter has another value than `true` or `false`, or several.
pub fn flag(request: &Request, name: &'static str) -> Result<bool, ApiError> {
    let mut values = request
        .query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter_map(|(given, value)| (given == name).then_some(value));
    match (values.next(), values.next()) {
        (None, _) | (Some("false"), None) => Ok(false),
        (Some("true"), None) => Ok(true),
        _ => Err(ApiError::invalid(name, Code::InvalidRequest, format!("{name} must be true or false"))),
    }
}
