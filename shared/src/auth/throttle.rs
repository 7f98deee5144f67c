//! Throttling of password guesses: the limits and the waits. [`crate::db::sign_in`] counts the failures.
//!
//! Consecutive failures are counted for each account, whether it exists or not. From the fifth on, each failure
//! throttles the account: for one second, then twice as long each time, up to 15 minutes. Attempts during that time are
//! rejected unchecked and do not prolong it. An attacker gets some 20 guesses in the first hour and 100 a day, where
//! NIST SP 800-63B-4 §3.2.2 allows 100 consecutive failures, and the owner waits at most 15 minutes.
//!
//! An attacker who keeps guessing would also throttle the owner. So two groups of attempts have separate counters,
//! which failures elsewhere do not change: attempts from a network in which the account has a session, and
//! re-authentication in each session.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

/// Consecutive failures that do not throttle.
pub const FREE_ATTEMPTS: i32 = 4;
/// The wait after the next failure. Each further failure doubles it.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// Time without a failure after which the count starts anew. An attacker who waits for it gets fewer guesses a day than
/// one who guesses after each wait.
pub const FORGET_AFTER: Duration = Duration::from_hours(4);

/// Returns the time from `now` until `throttled_until`, rounded up to whole seconds.
pub fn wait(throttled_until: SystemTime, now: SystemTime) -> Duration {
    let wait = throttled_until.duration_since(now).unwrap_or_default();
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// Returns the text under which failures of an unknown account are counted. It is a digest, because users type
/// passwords into the name field by mistake.
pub fn unknown_account_subject(canonical_name: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical_name.as_bytes()))
}
