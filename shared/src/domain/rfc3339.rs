//! How moments are written for clients: RFC 3339 in UTC with milliseconds, as in `2026-11-23T09:30:00.000Z`.

use std::num::NonZero;
use std::time::SystemTime;

use serde::ser::Error;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};

/// ISO 8601 as the library writes it is RFC 3339 already; milliseconds are what JavaScript's dates have.
const FORMAT: EncodedConfig =
    Config::DEFAULT.set_time_precision(TimePrecision::Second { decimal_digits: NonZero::new(3) }).encode();

/// A moment as text, empty for one that no calendar has.
pub fn text(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Iso8601::<FORMAT>).unwrap_or_default()
}

/// Serializes a moment.
///
/// # Errors
/// The calendar does not have the moment, or the serializer failed.
pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = OffsetDateTime::from(*time).format(&Iso8601::<FORMAT>).map_err(S::Error::custom)?;
    text.serialize(serializer)
}

/// Serializes a moment that may not exist.
///
/// # Errors
/// As for [`serialize`].
pub fn serialize_option<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize(time, serializer),
        None => serializer.serialize_none(),
    }
}
