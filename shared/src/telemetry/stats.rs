//! Measurements of the current request, recorded where they arise and read by the request line.
//!
//! Recording outside a request has no effect, except for times of the start, which the first request line reports.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use crate::domain::Session;

/// The values that were recorded during one request.
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

/// Runs the work of a request, within which the functions of this module record.
pub(crate) async fn scope<F: Future>(work: F) -> F::Output {
    CURRENT.scope(RequestStats::default(), work).await
}

/// Calls `read` with the stats of the current request, if there is one.
pub(super) fn with_current<T>(read: impl FnOnce(&RequestStats) -> T) -> Option<T> {
    CURRENT.try_with(read).ok()
}

/// Records the session that the request belongs to.
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

/// Returns the time of the start.
pub(super) fn init_time() -> Option<Duration> {
    INIT_TIME.get().copied()
}

impl RequestStats {
    /// The session that the request belongs to.
    pub(super) fn session(&self) -> Option<Session> {
        self.session.get()
    }

    /// Time spent waiting for the database.
    pub(super) fn database_time(&self) -> Duration {
        self.database.get()
    }

    /// Time spent opening a connection; of the first request, the time spent during the start if it opened none itself.
    pub(super) fn connect_time(&self, cold_start: bool) -> Option<Duration> {
        self.connecting.get().or_else(|| CONNECT_TIME_AT_INIT.get().copied().filter(|_| cold_start))
    }

    /// Number of wrong passwords.
    pub(super) fn failed_sign_ins(&self) -> u32 {
        self.failed_sign_ins.get()
    }
}
