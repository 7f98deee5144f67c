//! Settings: the only home of `env::var`. Each is read once, at the start, and a bad one stops it with a sentence.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::auth::access_token::TokenPolicy;
use crate::auth::password_hash::{DEFAULT_COST, HIGHEST_COST, LOWEST_COST};
use crate::db::roles::RoleManagement;
use crate::domain::PasswordPolicy;

/// What a deployment can choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `BCRYPT_COST`: of a new password hash, 10–16, 12 by default.
    pub bcrypt_cost: u32,
    /// `PASSWORD_MIN_LENGTH`: characters of a new password, 8–64, 8 by default.
    pub password_policy: PasswordPolicy,
    /// `JWT_ISSUER` and `JWT_AUDIENCE`, `keyhold` by default, and how long an access token lives.
    pub tokens: TokenPolicy,
    /// How long a session lives after its last refresh.
    pub refresh_lifetime: Duration,
    /// What one user may store.
    pub quota: Quota,
}

/// What one user may store.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// `DATA_MAX_KEYS`: keys, 100 000 by default.
    pub keys: i64,
    /// `DATA_MAX_BYTES`: bytes of keys and values together, 256 MiB by default.
    pub bytes: i64,
}

/// Seconds that an access token lives: what the original service told its clients.
const ACCESS_LIFETIME: Duration = Duration::from_secs(3600);
/// Thirty days after the last refresh: an app that is opened once a month stays signed in.
const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The variable is needed and not there.
    #[error("{name} is not set: {advice}")]
    Missing {
        /// The environment variable.
        name: &'static str,
        /// What to set it to.
        advice: &'static str,
    },
    /// The variable has a value that it cannot have.
    #[error("{name} must be {expected}, not {given:?}")]
    Invalid {
        /// The environment variable.
        name: &'static str,
        /// What it can be.
        expected: String,
        /// What it is.
        given: String,
    },
}

impl Settings {
    /// Reads them from the environment.
    ///
    /// # Errors
    /// A variable has a value out of its range.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            bcrypt_cost: integer("BCRYPT_COST", LOWEST_COST, HIGHEST_COST, DEFAULT_COST)?,
            password_policy: PasswordPolicy {
                min_chars: integer(
                    "PASSWORD_MIN_LENGTH",
                    PasswordPolicy::LOWEST_MIN_CHARS,
                    PasswordPolicy::HIGHEST_MIN_CHARS,
                    PasswordPolicy::LOWEST_MIN_CHARS,
                )?,
            },
            tokens: TokenPolicy {
                issuer: optional("JWT_ISSUER").unwrap_or_else(|| "keyhold".to_owned()),
                audience: optional("JWT_AUDIENCE").unwrap_or_else(|| "keyhold".to_owned()),
                lifetime: ACCESS_LIFETIME,
            },
            refresh_lifetime: REFRESH_LIFETIME,
            quota: Quota {
                keys: integer("DATA_MAX_KEYS", 1, i64::MAX, 100_000)?,
                bytes: integer("DATA_MAX_BYTES", 1, i64::MAX, 256 * 1024 * 1024)?,
            },
        })
    }
}

/// Requests that this process serves at a time: `AWS_LAMBDA_MAX_CONCURRENCY`, which Lambda Managed Instances set; else one.
///
/// # Errors
/// The variable is no positive number.
pub fn max_concurrency() -> Result<usize, ConfigError> {
    integer("AWS_LAMBDA_MAX_CONCURRENCY", 1, 1000, 1)
}

/// Who makes the database's roles: `DATABASE_ROLES`, which is `make` unless it is set.
///
/// # Errors
/// The variable has another value.
pub fn role_management() -> Result<RoleManagement, ConfigError> {
    let choices = [("make", RoleManagement::Make), ("iam", RoleManagement::MakeForIam), ("off", RoleManagement::Off)];
    choice("DATABASE_ROLES", &choices)
}

/// Whether a Lambda runtime API started this process; elsewhere a person did.
pub(crate) fn is_lambda() -> bool {
    optional("AWS_LAMBDA_RUNTIME_API").is_some()
}

/// The text of a variable; an empty one counts as none.
#[expect(clippy::disallowed_methods, reason = "this is the environment's home")]
pub(crate) fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.trim().is_empty())
}

/// One of several words, the first where there is none.
pub(crate) fn choice<T: Copy>(name: &'static str, choices: &[(&str, T)]) -> Result<T, ConfigError> {
    let given = optional(name);
    let chosen = match &given {
        None => choices.first(),
        Some(given) => choices.iter().find(|(word, _)| *word == given.trim()),
    };
    chosen.map(|(_, choice)| *choice).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        ConfigError::Invalid { name, expected: words.join(" or "), given: given.unwrap_or_default() }
    })
}

/// A whole number within bounds, `default` where there is none.
pub(crate) fn integer<T>(name: &'static str, lowest: T, highest: T, default: T) -> Result<T, ConfigError>
where
    T: FromStr + PartialOrd + Display,
{
    let Some(given) = optional(name) else {
        return Ok(default);
    };
    given.trim().parse().ok().filter(|number| (&lowest..=&highest).contains(&number)).ok_or_else(|| {
        let expected = format!("a whole number from {lowest} to {highest}");
        ConfigError::Invalid { name, expected, given }
    })
}
