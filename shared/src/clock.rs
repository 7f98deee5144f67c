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
