//! Token buckets: limits of how often something may happen. The table `rate_limits` stores them.
//!
//! A bucket holds at most `burst` tokens, and one is added each `interval`. It is stored as one time, at which it is full
//! again (the generic cell rate algorithm, ITU-T I.371): taking a token moves that time by an interval, and a bucket without a
//! row is full. So a bucket never has to be refilled, and a row is outdated as soon as its time has passed.

use std::time::{Duration, SystemTime};

/// The capacity and the refill of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The tokens of a full bucket. At least 1.
    pub burst: u32,
    /// The time after which a token is added.
    pub interval: Duration,
}

/// Failed password checks of an account from unknown networks. NIST SP 800-63B-4 §3.2.2 allows 100 consecutive failures.
/// Later ones become possible every 15 minutes, 96 a day.
pub const ACCOUNT_FAILURES: RateLimit = RateLimit { burst: 100, interval: Duration::from_mins(15) };
/// Changes of an account that take its password, each of which hashes twice: 10 at once, and 10 an hour.
pub const ACCOUNT_CHANGES: RateLimit = RateLimit { burst: 10, interval: Duration::from_mins(6) };
/// Refreshes of a session: 120 at once, and 120 an hour. A client that refreshes an access token when it expires needs one
/// an hour, and one that refreshes at each start or in each tab has as many as its user opens.
pub const SESSION_REFRESHES: RateLimit = RateLimit { burst: 120, interval: Duration::from_secs(30) };

/// Failed password checks of a network at once. People in an office or a household share an address, and few of them mistype a
/// password at the same time. A flood is stopped after as many hashes.
pub const FAILED_SIGN_INS_AT_ONCE: u32 = 30;

impl RateLimit {
    /// A bucket that always has a token.
    pub const NONE: Self = Self { burst: 1, interval: Duration::ZERO };

    /// Returns a limit with this number of tokens in an hour, of which at most `burst` at once; none for 0.
    pub fn per_hour(number: u32, burst: u32) -> Option<Self> {
        (number > 0).then(|| Self { burst: number.min(burst), interval: Duration::from_hours(1) / number })
    }

    /// Returns a limit with this number of tokens in a day, all of which may be taken at once; none for 0.
    pub fn per_day(number: u32) -> Option<Self> {
        (number > 0).then(|| Self { burst: number, interval: Duration::from_hours(24) / number })
    }

    /// Returns the time for which a bucket without tokens has none, or none if it has a token.
    pub fn wait(self, full_at: Option<SystemTime>, now: SystemTime) -> Option<Duration> {
        let wait = self.token_at(full_at?).duration_since(now).ok()?;
        (!wait.is_zero()).then_some(wait)
    }

    /// Returns the time from which a bucket has a token.
    pub fn token_at(self, full_at: SystemTime) -> SystemTime {
        full_at - self.slack()
    }

    /// Returns how far in the future a bucket may be full that has a token: the time in which all other tokens are added.
    pub fn slack(self) -> Duration {
        self.interval * (self.burst - 1)
    }

    /// Returns the time after which an empty bucket is full.
    pub fn refill(self) -> Duration {
        self.interval * self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn a_bucket_without_tokens_has_one_after_the_interval() {
        let limit = RateLimit { burst: 3, interval: Duration::from_secs(10) };
        for (tokens_taken, wait) in [(0, None), (1, None), (2, None), (3, Some(10))] {
            let full_at = NOW + limit.interval * tokens_taken;
            assert_eq!(limit.wait(Some(full_at), NOW), wait.map(Duration::from_secs), "{tokens_taken}");
        }
        assert_eq!(limit.wait(None, NOW), None);
        assert_eq!(limit.wait(Some(NOW + limit.refill()), NOW + Duration::from_secs(9)), Some(Duration::from_secs(1)));
        assert_eq!(limit.wait(Some(NOW + limit.refill()), NOW + Duration::from_secs(10)), None);
    }

    #[test]
    fn a_limit_of_zero_does_not_limit() {
        assert_eq!(RateLimit::per_hour(0, 30), None);
        let minute = Duration::from_mins(1);
        assert_eq!(RateLimit::per_hour(60, 30), Some(RateLimit { burst: 30, interval: minute }));
        assert_eq!(RateLimit::per_hour(60, 100), Some(RateLimit { burst: 60, interval: minute }));
    }
}
