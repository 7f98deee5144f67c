//! Repetition of requests that the SDK does not send.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::report::BoxError;

/// The attempts of a request.
pub(super) struct Attempts {
    /// Their maximum number.
    pub(super) max: u32,
    /// Time for each.
    pub(super) timeout: Duration,
    /// The pause after the first; each further one is twice as long.
    pub(super) pause: Duration,
}

/// Why an attempt failed.
pub(super) enum Failure {
    /// The next attempt may succeed.
    Temporary(BoxError),
    /// Each attempt would fail.
    Permanent(BoxError),
}

impl Attempts {
    /// Repeats `attempt` after a failure that may pass.
    ///
    /// # Errors
    /// The last attempt failed.
    pub(super) async fn run<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, BoxError> {
        let mut number = 1;
        loop {
            let outcome = timeout(self.timeout, attempt()).await;
            let error = match outcome.unwrap_or_else(|elapsed| Err(Failure::Temporary(elapsed.into()))) {
                Ok(result) => return Ok(result),
                Err(Failure::Permanent(error)) => return Err(error),
                Err(Failure::Temporary(error)) => error,
            };
            if number == self.max {
                return Err(error);
            }
            sleep(self.pause * 2_u32.pow(number - 1)).await;
            number += 1;
        }
    }
}
