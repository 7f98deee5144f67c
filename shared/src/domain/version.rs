//! Versions of values, for conditional requests.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::whole_number;

/// The version of a value. It grows with each write of a key and is never used twice for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Version(i64);

impl Version {
    /// The highest version, 2^53 - 1: clients may read numbers as IEEE 754 doubles (RFC 8259 §6).
    const MAX: i64 = (1 << 53) - 1;

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
#[error("if_version must be a whole number from 1 to {}", Version::MAX)]
pub struct InvalidVersion;

impl FromStr for Version {
    type Err = InvalidVersion;

    /// Reads a JSON number.
    fn from_str(json: &str) -> Result<Self, InvalidVersion> {
        whole_number::parse(json).filter(|number| (1..=Self::MAX).contains(number)).map(Self).ok_or(InvalidVersion)
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

impl VersionMatch {
    /// No version.
    pub const NONE: Self = Self::Among(Vec::new());

    /// Whether it includes a version.
    pub fn includes(&self, version: Version) -> bool {
        match self {
            Self::Any => true,
            Self::Among(versions) => versions.contains(&version),
        }
    }
}
