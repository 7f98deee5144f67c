//! A value from Secrets Manager, kept for the life of the process and fetched again beside the requests.
//!
//! Lambda freezes the process between two requests, for any time and also in the middle of a fetch. After the thaw such
//! a fetch completes, fails, or hangs on a connection that the peer has forgotten. Therefore:
//!
//! - One fetch runs at a time, in a task of its own. No request waits for it unless it needs the newer value.
//! - The fetch is bounded by the monotonic clock, which does not advance during a freeze, and by the wall clock, which
//!   does: no request waits for a fetch that started more than [`FETCH_TIMEOUT`] ago, and the next fetch aborts it.
//! - The age of a value counts from the start of its fetch. So a response that was received before a freeze and read
//!   after it is as old as it is.
//! - [`Cache::settle`] lets a fetch complete after the response of a request, when a freeze would cut it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::SecretsError;
use super::source::RemoteSecret;
use crate::aws::secret_texts::CALL_TIMEOUT;
use crate::clock::Clock;
use crate::report;

/// Minimum time between two fetches. It limits the cost of calls that tokens with invented key ids cause.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum time for a fetch, by the monotonic clock.
const FETCH_TIMEOUT: Duration = CALL_TIMEOUT;
/// Maximum time for which the end of a fetch delays the next event. A fetch takes some 50 ms.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(500);

/// The current value, and the way to a newer one.
pub(super) struct Cache<T>(Arc<Parts<T>>);

struct Parts<T> {
    current: RwLock<Fetched<T>>,
    /// The source of newer values; `None` if the value cannot change.
    secret: Option<RemoteSecret>,
    parse: fn(&str) -> Result<T, SecretsError>,
    newest: Mutex<Option<Attempt>>,
    clock: Arc<dyn Clock>,
}

struct Fetched<T> {
    value: Arc<T>,
    at: SystemTime,
}

/// A fetch that runs or has ended.
struct Attempt {
    started_at: SystemTime,
    task: AbortHandle,
    end: End,
    /// Whether [`Cache::settle`] has waited for it.
    is_settled: bool,
}

/// The end of a fetch: the channel closes when its task has ended in any way.
#[derive(Clone)]
struct End(watch::Receiver<()>);

impl End {
    async fn wait(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + Sync + 'static> Cache<T> {
    /// Makes a cache of a value whose fetch started `at`.
    pub(super) fn new(
        value: T,
        at: SystemTime,
        secret: Option<RemoteSecret>,
        parse: fn(&str) -> Result<T, SecretsError>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let current = RwLock::new(Fetched { value: Arc::new(value), at });
        Self(Arc::new(Parts { current, secret, parse, newest: Mutex::default(), clock }))
    }

    /// Returns the current value without waiting.
    pub(super) fn current(&self) -> Arc<T> {
        // No code panics while it holds the lock, and the value of a poisoned lock is complete.
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner).value)
    }

    /// Returns the value. From the age of `refresh_at` it is fetched again beside the request; from the age of `wait_at`
    /// the request waits for that. If the fetch fails, the old value stays in use.
    pub(super) async fn fresh(&self, refresh_at: Duration, wait_at: Duration) -> Arc<T> {
        let age = self.age();
        if age >= refresh_at {
            let is_urgent = age >= wait_at;
            if let Some(end) = self.refresh(is_urgent).filter(|_| is_urgent) {
                wait(end).await;
            }
        }
        self.current()
    }

    /// Returns the value after a new fetch, unless one started less than [`REFRESH_INTERVAL`] ago and has ended.
    pub(super) async fn newest(&self) -> Arc<T> {
        if let Some(end) = self.refresh(true) {
            wait(end).await;
        }
        self.current()
    }

    /// Lets a running fetch end, for at most [`SETTLE_TIMEOUT`] and once for each fetch.
    pub(super) async fn settle(&self) {
        let running = {
            let now = self.0.clock.now();
            let mut newest = self.0.newest();
            let running = newest.as_mut().filter(|attempt| attempt.is_running(now) && !attempt.is_settled);
            running.map(|attempt| {
                attempt.is_settled = true;
                attempt.end.clone()
            })
        };
        if let Some(end) = running {
            let _ = timeout(SETTLE_TIMEOUT, end.wait()).await;
        }
    }

    /// Returns the age of the value. A wall clock that was set back makes it old rather than new forever.
    fn age(&self) -> Duration {
        let at = self.0.current.read().unwrap_or_else(PoisonError::into_inner).at;
        self.0.clock.now().duration_since(at).unwrap_or_else(|error| error.duration())
    }

    /// Starts a fetch if it is time for one. Returns the end of the running one. If it is urgent, a fetch that a freeze
    /// has cut does not delay the next one.
    fn refresh(&self, is_urgent: bool) -> Option<End> {
        self.0.secret.as_ref()?;
        let now = self.0.clock.now();
        let mut newest = self.0.newest();
        if let Some(attempt) = &*newest {
            if attempt.is_running(now) {
                return Some(attempt.end.clone());
            }
            let passed = now.duration_since(attempt.started_at);
            let may_start = is_urgent && !attempt.task.is_finished();
            if !may_start && passed.is_ok_and(|passed| passed < REFRESH_INTERVAL) {
                return None;
            }
            attempt.task.abort();
        }
        let (running, end) = watch::channel(());
        let parts = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            // Dropped with the task, also if it is aborted or panics.
            let _running = running;
            parts.fetch(now).await;
        });
        let end = End(end);
        *newest = Some(Attempt { started_at: now, task: task.abort_handle(), end: end.clone(), is_settled: false });
        Some(end)
    }
}

impl<T> Parts<T> {
    async fn fetch(&self, started_at: SystemTime) {
        let Some(secret) = &self.secret else { return };
        let fetched = secret.text(started_at).await.and_then(|text| (self.parse)(&text));
        match fetched {
            Ok(value) => {
                let fetched = Fetched { value: Arc::new(value), at: started_at };
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = fetched;
            }
            // The old value stays in use, including a key that may have been removed.
            Err(error) => tracing::error!("the secrets could not be refreshed: {}", report::chain(&error)),
        }
    }

    fn newest(&self) -> MutexGuard<'_, Option<Attempt>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt {
    /// Whether the end of the attempt is near. After a freeze of more than [`FETCH_TIMEOUT`] it may never come.
    fn is_running(&self, now: SystemTime) -> bool {
        let passed = now.duration_since(self.started_at);
        !self.task.is_finished() && passed.is_ok_and(|passed| passed < FETCH_TIMEOUT)
    }
}

/// Waits for the end of a fetch. The fetch has a timeout too; this one holds even if the fetch does not end by it.
async fn wait(end: End) {
    let _ = timeout(FETCH_TIMEOUT, end.wait()).await;
}
