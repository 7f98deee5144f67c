//! Environment variables: the only home of `env::var`. A value is read once, at the start, and a wrong one stops the
//! function with a message that says what to change.

use std::fmt::Display;
use std::str::FromStr;

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
