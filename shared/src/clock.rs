//! The only home of the system clock. Code that depends on time takes a [`Clock`] or a `SystemTime`, so that a test
//! moves the time instead of sleeping.

use std::time::{Duration, Instant, SystemTime};

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> SystemTime;
}

/// The clock of the machine.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the home of the system clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Measures durations. It does not advance while an execution environment is frozen, so no decision may depend on it for which
/// that time counts.
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[expect(clippy::disallowed_methods, reason = "the home of the system clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
