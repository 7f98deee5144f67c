//! Measurements of the current request, which the request line reports.
//!
//! Outside a request, recording has no effect, except for the times of the start, which the first request line reports.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use crate::domain::Session;

/// The measurements of one request.
#[derive(Default)]
pub(crate) struct RequestStats {
    session: Cell<Option<Session>>,
    database: Cell<Duration>,
    connecting: Cell<Option<Duration>>,
    failed_sign_ins: Cell<u32>,
}

tokio::task_local! {
    static CURRENT: RequestStats;
}

static INIT_TIME: OnceLock<Duration> = OnceLock::new();
static CONNECT_TIME_AT_INIT: OnceLock<Duration> = OnceLock::new();

/// Runs the work of a request. Within it, the functions of this module record measurements.
pub(crate) async fn scope<F: Future>(work: F) -> F::Output {
    CURRENT.scope(RequestStats::default(), work).await
}

/// Calls `read` with the stats of the current request, if there is one.
pub(super) fn with_current<T>(read: impl FnOnce(&RequestStats) -> T) -> Option<T> {
    CURRENT.try_with(read).ok()
}

/// Records the session of the request.
pub(crate) fn record_session(session: Session) {
    with_current(|stats| stats.session.set(Some(session)));
}

/// Adds time spent waiting for the database, connecting included.
pub(crate) fn record_database_time(time: Duration) {
    with_current(|stats| stats.database.set(stats.database.get() + time));
}

/// Adds time spent opening a database connection.
pub(crate) fn record_connect_time(time: Duration) {
    let recorded = with_current(|stats| stats.connecting.set(Some(stats.connecting.get().unwrap_or_default() + time)));
    if recorded.is_none() {
        let _ = CONNECT_TIME_AT_INIT.set(time);
    }
}

/// Counts a wrong password.
pub(crate) fn record_failed_sign_in() {
    with_current(|stats| stats.failed_sign_ins.set(stats.failed_sign_ins.get() + 1));
}

/// Records the time from the start of the process until it was ready for requests.
pub(crate) fn record_init_time(time: Duration) {
    let _ = INIT_TIME.set(time);
}

/// Returns the time that [`record_init_time`] recorded.
pub(super) fn init_time() -> Option<Duration> {
    INIT_TIME.get().copied()
}

impl RequestStats {
    /// Returns the session of the request.
    pub(super) fn session(&self) -> Option<Session> {
        self.session.get()
    }

    /// Returns the time spent waiting for the database.
    pub(super) fn database_time(&self) -> Duration {
        self.database.get()
    }

    /// Returns the time spent opening connections. If the first request opened none, returns the time from the start.
    pub(super) fn connect_time(&self, cold_start: bool) -> Option<Duration> {
        self.connecting.get().or_else(|| CONNECT_TIME_AT_INIT.get().copied().filter(|_| cold_start))
    }

    /// Returns the number of wrong passwords.
    pub(super) fn failed_sign_ins(&self) -> u32 {
        self.failed_sign_ins.get()
    }
}
