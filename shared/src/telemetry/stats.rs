//! Properties and measurements of the current request, which the log reports.
//!
//! Outside a request, recording has no effect, except for the times of the start, which the first request line reports.

use std::cell::{Cell, OnceCell};
use std::sync::OnceLock;
use std::time::Duration;

use crate::domain::Session;

/// The properties of a request in its log lines.
pub(crate) struct RequestInfo {
    /// The route, for example `GET /api/data/{key+}`.
    pub(crate) route: String,
    /// The method.
    pub(crate) method: String,
    /// The request id of the gateway.
    pub(crate) request_id: String,
    /// The X-Ray trace id, if the request is traced.
    pub(crate) trace_id: Option<String>,
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The error code, for example `KEY_NOT_FOUND`.
    pub(crate) code: Option<&'static str>,
    /// The time from the event to the response.
    pub(crate) duration: Duration,
    /// Whether the request is the first one of the process.
    pub(crate) cold_start: bool,
}

impl Outcome {
    /// Whether the response is a 5xx: the service failed, not the caller.
    pub(crate) fn is_server_error(self) -> bool {
        self.status >= 500
    }
}

/// The properties and measurements of one request.
#[derive(Default)]
pub(crate) struct RequestStats {
    info: OnceCell<RequestInfo>,
    outcome: Cell<Option<Outcome>>,
    session: Cell<Option<Session>>,
    database: Cell<Duration>,
    connecting: Cell<Option<Duration>>,
    failed_sign_ins: Cell<u32>,
    throttled: Cell<u32>,
    reused_refreshes: Cell<u32>,
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

/// Calls `read` with the properties of the current request, if there is one and they are known.
pub(super) fn with_request(read: impl FnOnce(&RequestInfo)) {
    with_current(|stats| stats.info.get().map(read));
}

/// Records the properties of the request.
pub(crate) fn record_request(info: RequestInfo) {
    with_current(|stats| stats.info.set(info));
}

/// Records the outcome of the request.
pub(crate) fn record_outcome(outcome: Outcome) {
    with_current(|stats| stats.outcome.set(Some(outcome)));
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

/// Counts a request that a limit has rejected.
pub(crate) fn record_throttled() {
    with_current(|stats| stats.throttled.set(stats.throttled.get() + 1));
}

/// Counts a refresh token that was reused.
pub(crate) fn record_reused_refresh() {
    with_current(|stats| stats.reused_refreshes.set(stats.reused_refreshes.get() + 1));
}

/// Counts a wrong or throttled password.
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
    /// Returns the properties of the request and its outcome, if both are known.
    pub(super) fn request(&self) -> Option<(&RequestInfo, Outcome)> {
        self.info.get().zip(self.outcome.get())
    }

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

    /// Returns the number of wrong and throttled passwords.
    pub(super) fn failed_sign_ins(&self) -> u32 {
        self.failed_sign_ins.get()
    }

    /// Returns the number of rejections by a limit.
    pub(super) fn throttled(&self) -> u32 {
        self.throttled.get()
    }

    /// Returns the number of refresh tokens that were reused.
    pub(super) fn reused_refreshes(&self) -> u32 {
        self.reused_refreshes.get()
    }
}
