//! The only home of the system's clock. What depends on time is handed it, so that a test moves it instead of sleeping.

use std::time::SystemTime;

/// Something that tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> SystemTime;
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock's home")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Measures how long something takes, for the log alone: it stands still in a frozen machine, and nothing depends on it.
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock's home")]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The time since its start.
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }
}
