//! How much guessing of passwords is slowed. The counting itself is one statement, in [`crate::db::sign_in`].
//!
//! Failures in a row are counted for each account, whether it exists or not. From the fifth on each one closes the account
//! to password checks for a while: a second, then twice as long each time, a quarter of an hour at most. Attempts
//! in that time are refused unchecked and do not prolong it. So an account gives away some twenty guesses in the
//! first hour and a hundred a day, where NIST SP 800-63B-4 §3.2.2 allows a hundred in a row, and its owner waits a
//! quarter of an hour at worst.
//!
//! Whoever keeps guessing could take each turn as it comes and keep the owner from theirs. So attempts from a network from
//! which the account has a session are counted apart, and those by which a signed-in user repeats the password are counted
//! for their session: nobody elsewhere can close those ways in.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

/// The failure in a row that is the first to be followed by a wait.
pub const FIRST_SLOWED: i32 = 5;
/// The wait after that one; each further failure doubles it.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// After this long without a failure the count begins anew. Whoever waits for that gets no more guesses a day than whoever
/// takes every turn.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(4 * 60 * 60);

/// Why somebody shows a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// To sign in: a wrong one is no credential.
    SignIn,
    /// To repeat it, being signed in: a wrong one forbids what they ask for.
    Repeated,
}

impl PasswordCheck {
    /// How often a right password is looked at again because the stored hash is another one by the time something is done:
    /// of requests side by side, the first sign-in renews an old hash.
    pub const ATTEMPTS: usize = 3;

    /// What the log calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Repeated => "repeated",
        }
    }
}

/// From `now` until `closed_until`, rounded up to whole seconds: whoever waits so long is let in.
pub fn wait(closed_until: SystemTime, now: SystemTime) -> Duration {
    let wait = closed_until.duration_since(now).unwrap_or_default();
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// What failures are counted under where no account has the name: a digest, for what people type into the field for the
/// name can be a password.
pub fn subject_of_nobody(canonical_name: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical_name.as_bytes()))
}
