//! Environment variables: the only home of `env::var`. A value is read once, at the start, and a wrong one stops the
//! function with a message that says what to change.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// A variable that is missing or has a wrong value.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// A required variable is not set.
    #[error("{name} is not set: {advice}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// The value to set.
        advice: &'static str,
    },
    /// A variable has an invalid value.
    #[error("{name} must be {expected}, not {given:?}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// The accepted values.
        expected: String,
        /// The present value.
        given: String,
    },
    /// A secret has an invalid value, which is not shown.
    #[error("{name} {reason}")]
    Secret {
        /// The variable.
        name: &'static str,
        /// Why it is rejected.
        reason: String,
    },
    /// A variable does not name a file with certificates.
    #[error("{name} must be the path of a PEM file with certificates, not {path:?}: {reason}")]
    Certificates {
        /// The variable.
        name: &'static str,
        /// The path.
        path: String,
        /// Why the file has no certificates.
        reason: String,
    },
}

/// Returns the text of a variable. An empty one counts as not set.
#[expect(clippy::disallowed_methods, reason = "the home of the environment")]
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.trim().is_empty())
}

/// Returns the text of a variable that has to be set.
///
/// # Errors
/// `Missing`, with `advice`.
pub fn required(name: &'static str, advice: &'static str) -> Result<String, EnvError> {
    optional(name).ok_or(EnvError::Missing { name, advice })
}

/// Reads the name or the address of a host.
///
/// # Errors
/// `Invalid`, if the variable has other parts of a URL.
pub fn host(name: &'static str) -> Result<Option<String>, EnvError> {
    let Some(given) = optional(name) else {
        return Ok(None);
    };
    let is_address = given.parse::<IpAddr>().is_ok();
    // A path is that of a Unix socket.
    if is_address || given.starts_with('/') || !given.contains([':', '/', '@', '?', ' ']) {
        return Ok(Some(given));
    }
    Err(EnvError::Invalid { name, expected: "a host name or an address without scheme and port".to_owned(), given })
}

/// Reads the certificates of the PEM file that a variable names.
///
/// # Errors
/// `Certificates`, if the file cannot be read, or if it has none or a malformed one.
pub fn certificates(name: &'static str) -> Result<Option<Vec<CertificateDer<'static>>>, EnvError> {
    let Some(path) = optional(name) else {
        return Ok(None);
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
    let reason = match read {
        Ok(certificates) if certificates.is_empty() => "it has none".to_owned(),
        Ok(certificates) => return Ok(Some(certificates)),
        Err(error) => error.to_string(),
    };
    Err(EnvError::Certificates { name, path, reason })
}

/// Reads a secret, which errors do not show.
///
/// # Errors
/// `Secret`, if `parse` rejects it.
pub fn secret<T, E: Display>(
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, EnvError> {
    let parsed = optional(name).map(|text| parse(text.trim())).transpose();
    parsed.map_err(|error| EnvError::Secret { name, reason: error.to_string() })
}

/// Reads one of several words; the first is the default.
///
/// # Errors
/// `Invalid`, if the variable has another value.
pub fn choice<T: Copy>(name: &'static str, choices: &[(&str, T)]) -> Result<T, EnvError> {
    let given = optional(name);
    let chosen = match &given {
        None => choices.first(),
        Some(given) => choices.iter().find(|(word, _)| *word == given.trim()),
    };
    chosen.map(|(_, choice)| *choice).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        EnvError::Invalid { name, expected: words.join(" or "), given: given.unwrap_or_default() }
    })
}

/// Reads a whole number from `lowest` to `highest`.
///
/// # Errors
/// `Invalid`, if the variable is not such a number.
pub fn integer<T>(name: &'static str, lowest: T, highest: T, default: T) -> Result<T, EnvError>
where
    T: FromStr + PartialOrd + Display,
{
    let Some(given) = optional(name) else {
        return Ok(default);
    };
    given.trim().parse().ok().filter(|number| (&lowest..=&highest).contains(&number)).ok_or_else(|| {
        let expected = format!("a whole number from {lowest} to {highest}");
        EnvError::Invalid { name, expected, given }
    })
}

/// Parses a variable; the default value if it is not set. `expected` describes the accepted values.
///
/// # Errors
/// `Invalid`, if the text cannot be parsed.
pub fn parsed<T: FromStr + Default>(name: &'static str, expected: &str) -> Result<T, EnvError> {
    let Some(given) = optional(name) else {
        return Ok(T::default());
    };
    given.parse().map_err(|_| EnvError::Invalid { name, expected: expected.to_owned(), given })
}
