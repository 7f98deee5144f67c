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
