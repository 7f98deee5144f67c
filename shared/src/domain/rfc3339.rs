//! Timestamps in responses: RFC 3339 in UTC with milliseconds, such as `2026-11-23T09:30:00.000Z`.

use std::num::NonZero;
use std::time::SystemTime;

use serde::ser::Error;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};

/// The ISO 8601 format of the library is valid RFC 3339. JavaScript dates have milliseconds.
const FORMAT: EncodedConfig =
    Config::DEFAULT.set_time_precision(TimePrecision::Second { decimal_digits: NonZero::new(3) }).encode();

/// Returns a timestamp as text, or an empty text if its year is out of range.
pub fn text(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Iso8601::<FORMAT>).unwrap_or_default()
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
