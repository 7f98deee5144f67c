//! Versions of values, for conditional requests.

use std::fmt;

use serde::Serialize;

/// The version of a value. It grows with each write of a key and is never used twice for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Version(i64);

impl Version {
    /// Returns the number as it is stored.
    pub fn number(self) -> i64 {
        self.0
    }
}

impl From<i64> for Version {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

/// A number that cannot be a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("if_version must be a whole number of 1 or more")]
pub struct InvalidVersion;

/// Accepts whole numbers below 2⁵³. Larger numbers in JSON may be read as a neighboring one (RFC 8259 §6).
impl TryFrom<f64> for Version {
    type Error = InvalidVersion;

    fn try_from(number: f64) -> Result<Self, InvalidVersion> {
        const HIGHEST: f64 = 9_007_199_254_740_991.0;
        let whole = number.fract() == 0.0 && (1.0..=HIGHEST).contains(&number);
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 fits")]
        whole.then_some(Self(number as i64)).ok_or(InvalidVersion)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The versions that a request names in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    /// Any version.
    Any,
    /// One of these versions.
    Among(Vec<Version>),
}
