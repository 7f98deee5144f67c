//! One line for each request: what an operator reads, and what CloudWatch makes metrics of without being called, by its
//! embedded metric format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//!
//! What is deeper down notes what the line needs.

use std::cell::Cell;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tracing::Span;

use crate::auth::access_token::Session;
use crate::clock::{Clock, Stopwatch, SystemClock};
use crate::domain::rfc3339;
use crate::error::Code;
use crate::{telemetry, traces};

/// CloudWatch's name for the metrics as a whole.
const NAMESPACE: &str = "Keyhold";

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// Its status.
    pub(crate) status: u16,
    /// What went wrong, if anything did.
    pub(crate) code: Option<Code>,
}

/// What a request is known by.
pub(crate) struct Subject<'a> {
    pub(crate) route: String,
    pub(crate) method: &'a str,
    pub(crate) request_id: &'a str,
    /// X-Ray's, as its search takes it, by which the request is found in other services too.
    pub(crate) trace_id: Option<&'a str>,
    /// Its span, for what the line says too.
    pub(crate) span: &'a Span,
}

#[derive(Default)]
struct Notes {
    session: Cell<Option<Session>>,
    database: Cell<Duration>,
    connecting: Cell<Option<Duration>>,
    failed_sign_ins: Cell<u32>,
}

tokio::task_local! {
    static NOTES: Notes;
}

/// Whose session the request belongs to.
pub(crate) fn note_session(session: Session) {
    let _ = NOTES.try_with(|notes| notes.session.set(Some(session)));
}

/// The database was waited for.
pub(crate) fn note_database(time: Duration) {
    let _ = NOTES.try_with(|notes| notes.database.set(notes.database.get() + time));
}

/// A connection to the database was opened: during a request or, which its first line tells, during the start.
pub(crate) fn note_connecting(time: Duration) {
    let noted = NOTES.try_with(|notes| notes.connecting.set(Some(notes.connecting.get().unwrap_or_default() + time)));
    if noted.is_err() {
        let _ = CONNECTING_AT_START.set(time);
    }
}

static CONNECTING_AT_START: OnceLock<Duration> = OnceLock::new();

/// A password was wrong.
pub(crate) fn note_failed_sign_in() {
    let _ = NOTES.try_with(|notes| notes.failed_sign_ins.set(notes.failed_sign_ins.get() + 1));
}

/// How long the start took, until the first request could come.
static INIT: OnceLock<Duration> = OnceLock::new();

/// Notes the time of the start, which the line of the first request has.
pub(crate) fn note_init(time: Duration) {
    let _ = INIT.set(time);
}

/// Answers a request, and writes its line.
pub(crate) async fn logged<T>(
    subject: Subject<'_>,
    answer: impl Future<Output = T>,
    ending: impl FnOnce(&T) -> Ending,
) -> T {
    static WARM: AtomicBool = AtomicBool::new(false);
    let stopwatch = Stopwatch::start();
    let work = async {
        let answer = answer.await;
        NOTES.with(|notes| {
            let cold_start = !WARM.swap(true, Ordering::Relaxed);
            let ending = ending(&answer);
            traces::ended(subject.span, ending, notes.session.get(), cold_start);
            Line { subject, notes, ending, duration: stopwatch.elapsed(), cold_start }.write();
        });
        answer
    };
    NOTES.scope(Notes::default(), work).await
}

struct Line<'a> {
    subject: Subject<'a>,
    notes: &'a Notes,
    ending: Ending,
    duration: Duration,
    cold_start: bool,
}

impl Line<'_> {
    fn write(&self) {
        if telemetry::is_json() {
            // Not `println!`, which panics where nobody reads.
            let _ = writeln!(std::io::stdout(), "{}", self.json(SystemClock.now()));
            return;
        }
        let (status, method) = (self.ending.status, self.subject.method);
        let (duration_ms, db_ms) = (milliseconds(self.duration), milliseconds(self.notes.database.get()));
        let code = self.ending.code.map(tracing::field::debug);
        tracing::info!(method, status, code, duration_ms, db_ms, cold_start = self.cold_start, "request");
    }

    fn json(&self, now: SystemTime) -> Value {
        let Self { subject, notes, ending, .. } = self;
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("timestamp", json!(rfc3339::text(now)));
        put("level", json!(if ending.status >= 500 { "ERROR" } else { "INFO" }));
        put("message", json!("request"));
        put("route", json!(subject.route));
        put("method", json!(subject.method));
        put("status", json!(ending.status));
        if let Some(code) = ending.code {
            put("code", json!(code));
        }
        if let Some(Session { user, id }) = notes.session.get() {
            put("user_id", json!(user));
            put("session_id", json!(id));
        }
        put("request_id", json!(subject.request_id));
        if let Some(trace_id) = subject.trace_id {
            put("trace_id", json!(trace_id));
        }
        let mut metrics = vec![
            ("requests", "Count", json!(1)),
            ("server_errors", "Count", json!(u8::from(ending.status >= 500))),
            ("duration_ms", "Milliseconds", json!(milliseconds(self.duration))),
            ("db_ms", "Milliseconds", json!(milliseconds(notes.database.get()))),
            ("cold_starts", "Count", json!(u8::from(self.cold_start))),
        ];
        let at_start = || CONNECTING_AT_START.get().copied().filter(|_| self.cold_start);
        if let Some(time) = notes.connecting.get().or_else(at_start) {
            metrics.push(("db_connect_ms", "Milliseconds", json!(milliseconds(time))));
        }
        if let Some(time) = INIT.get().filter(|_| self.cold_start) {
            metrics.push(("init_ms", "Milliseconds", json!(milliseconds(*time))));
        }
        if notes.failed_sign_ins.get() > 0 {
            metrics.push(("failed_sign_ins", "Count", json!(notes.failed_sign_ins.get())));
        }
        if ending.code.is_some() {
            metrics.push(("errors", "Count", json!(1)));
        }
        // CloudWatch takes money for each metric by itself: by route are those that tell one route from another. How many
        // requests a route has, the number of their durations says.
        let directive = |dimensions: &[&str], chosen: &dyn Fn(&str) -> bool| {
            let metrics = metrics.iter().filter(|(name, ..)| chosen(name));
            let described = metrics.map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect::<Vec<_>>();
            json!({ "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": described })
        };
        let mut directives = vec![
            directive(&[], &|name| name != "errors"),
            directive(&["route"], &|name| ["server_errors", "duration_ms", "db_ms"].contains(&name)),
        ];
        if ending.code.is_some() {
            directives.push(directive(&["code"], &|name| name == "errors"));
        }
        for (name, _, value) in metrics {
            put(name, value);
        }
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        put("_aws", json!({ "Timestamp": since_epoch.as_millis() as u64, "CloudWatchMetrics": directives }));
        Value::Object(line)
    }
}

/// With microseconds: `1.234`.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
