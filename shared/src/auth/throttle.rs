//! Throttling of password guesses: the limits and the waits. [`crate::db::sign_in`] counts the failures.
//!
//! Three counters limit guesses. `functions/README.md` has a table of what each of them means for the owner and for attackers.
//!
//! - *Name and network.* Consecutive failures for a name, as it was typed, from a network. From the fifth on, each failure
//!   throttles this name and network: for one second, then twice as long each time, up to 15 minutes. Attempts during that
//!   time are rejected unchecked and do not prolong it. The same happens whether or not the name has an account.
//! - *Network.* All failures from a network, for all names together, against guesses over many names. The limit is a setting.
//! - *Account.* Failures from networks that the account does not know, against guesses from many networks
//!   ([`ACCOUNT_FAILURES`](super::rate_limit::ACCOUNT_FAILURES)). Beyond the limit, every attempt from such a network fails like
//!   one with a wrong password. Known networks are not limited by it, so that no attacker can keep the owner out.
//!
//! Re-authentication has a counter for each session instead of the first, so that guesses at sign-in do not keep a signed-in
//! user from changing the password.

use std::time::{Duration, SystemTime};

/// Consecutive failures that do not throttle.
pub const FREE_ATTEMPTS: i32 = 4;
/// The wait after the next failure. Each further failure doubles it.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// Time without a failure after which the count starts anew. An attacker who waits for it gets fewer guesses a day than
/// one who guesses after each wait.
pub const FORGET_AFTER: Duration = Duration::from_hours(4);
/// Time for which an account knows a network after the last sign-in or refresh from it.
pub const KNOWN_NETWORK_LIFETIME: Duration = Duration::from_hours(90 * 24);

/// Returns the time from `now` until `throttled_until`, rounded up to whole seconds.
pub fn wait(throttled_until: SystemTime, now: SystemTime) -> Duration {
    let wait = throttled_until.duration_since(now).unwrap_or_default();
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}
