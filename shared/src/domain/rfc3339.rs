//! How moments are written for clients: RFC 3339 in UTC with milliseconds, as in `2026-11-23T09:30:00.000Z`.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// A moment.
pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

/// For a moment that may not exist.
pub fn serialize_option<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| humantime::format_rfc3339_millis(time).to_string()).serialize(serializer)
}
