//! Timestamps: RFC 3339. In responses in UTC with milliseconds, such as `2026-11-23T09:30:00.000Z`.

use std::num::NonZero;
use std::str::FromStr;
use std::time::SystemTime;

use serde::ser::Error;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};
use time::format_description::well_known::{Iso8601, Rfc3339};

/// The ISO 8601 format of the library is valid RFC 3339. JavaScript dates have milliseconds.
const FORMAT: EncodedConfig =
    Config::DEFAULT.set_time_precision(TimePrecision::Second { decimal_digits: NonZero::new(3) }).encode();

/// Returns a timestamp as text, or an empty text if its year is out of range.
pub fn text(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Iso8601::<FORMAT>).unwrap_or_default()
}

/// A timestamp that was sent, with any offset, from 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(SystemTime);

impl Timestamp {
    /// Returns the time.
    pub fn time(self) -> SystemTime {
        self.0
    }
}

/// A text that is not a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time must be one of RFC 3339 since 1970, such as 2026-11-23T09:30:00Z")]
pub struct InvalidTimestamp;

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp)?;
        if time < OffsetDateTime::UNIX_EPOCH { Err(InvalidTimestamp) } else { Ok(Self(time.into())) }
    }
}

/// Serializes a timestamp.
///
/// # Errors
/// The year is out of range, or the serializer failed.
pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = OffsetDateTime::from(*time).format(&Iso8601::<FORMAT>).map_err(S::Error::custom)?;
    text.serialize(serializer)
}

/// Serializes a timestamp or null.
///
/// # Errors
/// As for [`serialize`].
pub fn serialize_option<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_an_offset_and_is_not_before_1970() {
        let read = |text: &str| text.parse::<Timestamp>().map(|time| super::text(time.0));
        for sent in ["2026-11-23T09:30:00Z", "2026-11-23T10:30:00.000+01:00", "2026-11-23t09:30:00.0z"] {
            assert_eq!(read(sent).as_deref(), Ok("2026-11-23T09:30:00.000Z"), "{sent}");
        }
        assert_eq!(read("9999-12-31T23:59:59.999999999Z").as_deref(), Ok("9999-12-31T23:59:59.999Z"));
        for sent in
            ["", "2026-11-23", "2026-11-23T09:30:00", "1969-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "1700000000"]
        {
            assert_eq!(read(sent), Err(InvalidTimestamp), "{sent}");
        }
    }
}
