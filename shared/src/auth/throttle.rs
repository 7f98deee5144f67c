//! Throttling of password guesses: the rule. One statement in [`crate::db::sign_in`] does the counting.
//!
//! Failures in a row are counted for each account, whether it exists or not. From the fifth on, each failure throttles the
//! account: for one second, then twice as long each time, up to 15 minutes. Attempts during that time are rejected unchecked
//! and do not prolong it. An attacker gets some 20 guesses in the first hour and 100 a day, where NIST SP 800-63B-4 §3.2.2
//! allows 100 in a row, and the owner waits at most 15 minutes.
//!
//! An attacker who takes every turn would keep the owner out. So failures from a network from which the account has a
//! session have a counter of their own, and so has each session for re-authentication: failures elsewhere do not count.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

/// Failures in a row that have no consequence.
pub const FREE_ATTEMPTS: i32 = 4;
/// The wait after the next failure; each further one doubles it.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// Time without a failure after which the count starts anew. Waiting for it yields no more guesses a day than taking every
/// turn.
pub const FORGET_AFTER: Duration = Duration::from_hours(4);

/// Returns the time from `now` until `throttled_until`, rounded up to whole seconds.
pub fn wait(throttled_until: SystemTime, now: SystemTime) -> Duration {
    let wait = throttled_until.duration_since(now).unwrap_or_default();
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// Returns the text under which failures of an unknown account are counted. It is a digest, because users type passwords
/// into the name field by mistake.
pub fn unknown_account_subject(canonical_name: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical_name.as_bytes()))
}
