use std::fmt;

use serde::Serialize;

/// The number of a write: it grows with every write of a key and no other write of the key ever gets the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Version(i64);

impl Version {
    /// The number as the database keeps it.
    pub fn number(self) -> i64 {
        self.0
    }
}

impl From<i64> for Version {
    fn from(number: i64) -> Self {
        Self(number)
    }
}

/// A number that is nobody's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("if_version must be a whole number of 1 or more")]
pub struct InvalidVersion;

/// As JSON has it: a whole number below 2⁵³, from where on others are read as the same one (RFC 8259 §6), and more writes
/// than anybody makes.
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

/// Which versions somebody names: those they know, or those they demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    /// Any at all, as long as there is a value.
    Any,
    /// One of these.
    Among(Vec<Version>),
}
