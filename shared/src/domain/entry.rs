//! Stored values, and the conditions and lifetimes of writes.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{Key, Value, Version, VersionMatch, rfc3339, whole_number};

/// A stored value with its key and metadata.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Key of the value.
    pub key: Key,
    /// The value, if it was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Version of the value.
    pub version: Version,
    /// Time at which the key was created.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub created_at: SystemTime,
    /// Time of the last write.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub updated_at: SystemTime,
    /// Time at which the value expires, if it does.
    #[serde(serialize_with = "rfc3339::serialize_option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<SystemTime>,
}

/// The condition of a write on the value that it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Creates or replaces the value.
    None,
    /// Requires that the key does not exist. Otherwise the write fails with `Exists`.
    Absent,
    /// Requires that the key exists in such a version. Otherwise the write fails with `NotFound` or `VersionMismatch`.
    Present(VersionMatch),
}

/// The lifetime of a value: a whole number of seconds from 1 s to ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(Duration);

/// A lifetime that is fractional or out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expires_in must be a whole number of seconds from 1 to {}", Lifetime::MAX_SECONDS)]
pub struct InvalidLifetime;

impl Lifetime {
    /// Ten years of 365 days.
    const MAX_SECONDS: u32 = 10 * 365 * 24 * 60 * 60;

    /// Returns the time from `now` until `expires_at`, rounded up to whole seconds and limited to the allowed range.
    pub fn until(expires_at: SystemTime, now: SystemTime) -> Self {
        let left = expires_at.duration_since(now).unwrap_or_default();
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Self(Duration::from_secs(seconds.clamp(1, Self::MAX_SECONDS.into())))
    }

    /// Returns the number of seconds.
    pub fn seconds(self) -> u64 {
        self.0.as_secs()
    }

    /// Returns the time at which a value expires that is written `now`.
    pub fn from(self, now: SystemTime) -> SystemTime {
        now + self.0
    }
}

impl FromStr for Lifetime {
    type Err = InvalidLifetime;

    /// Reads a JSON number.
    fn from_str(json: &str) -> Result<Self, InvalidLifetime> {
        let seconds = whole_number::parse(json).and_then(|seconds| u32::try_from(seconds).ok());
        let seconds = seconds.filter(|seconds| (1..=Self::MAX_SECONDS).contains(seconds)).ok_or(InvalidLifetime)?;
        Ok(Self(Duration::from_secs(seconds.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_lifetime_is_in_range() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let left = |left: Duration| Lifetime::until(now + left, now).seconds();
        assert_eq!(left(Duration::from_nanos(1)), 1);
        assert_eq!(left(Duration::from_nanos(10_000_000_001)), 11);
        assert_eq!(left(Duration::from_secs(315_360_001)), 315_360_000);
        assert_eq!(Lifetime::until(now, now + Duration::from_secs(5)).seconds(), 1);
    }

    #[test]
    fn a_lifetime_is_a_whole_number_of_seconds_from_1_to_ten_years() {
        for json in ["1", "6e1", "315360000.0"] {
            assert!(json.parse::<Lifetime>().is_ok(), "{json}");
        }
        for json in ["0", "-1", "0.5", "1.00000000000000000001", "315360001", "1e300", "\"60\"", "true"] {
            assert_eq!(json.parse::<Lifetime>(), Err(InvalidLifetime), "{json}");
        }
    }
}
