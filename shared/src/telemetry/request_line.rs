//! The log line of a request. It contains the metrics in CloudWatch's embedded metric format, so that no API call is
//! needed:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::log;
use super::stats::{self, Outcome, RequestInfo, RequestStats};
use crate::clock::{Clock, SystemClock};
use crate::domain::{Session, SessionId, UserId, rfc3339};
use crate::env::{self, EnvError};

/// The namespace of the metrics in CloudWatch, unless `METRICS_NAMESPACE` sets another one.
const NAMESPACE: &str = "Keyhold";

/// Returns the namespace of the metrics.
fn namespace() -> &'static str {
    static CHOSEN: OnceLock<String> = OnceLock::new();
    CHOSEN.get_or_init(|| env::optional("METRICS_NAMESPACE").unwrap_or_else(|| NAMESPACE.to_owned()))
}

/// Checks `METRICS_NAMESPACE`: CloudWatch drops metrics with an invalid one
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>).
///
/// # Errors
/// `Invalid`.
pub(super) fn check_namespace() -> Result<(), EnvError> {
    let given = namespace();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || " .-_/#:".contains(c);
    let is_valid =
        given.len() <= 255 && given.chars().all(is_allowed) && !given.starts_with(':') && !given.starts_with("AWS/");
    is_valid.then_some(()).ok_or_else(|| EnvError::Invalid {
        name: "METRICS_NAMESPACE",
        expected: "1 to 255 of A-Z a-z 0-9 . - _ / # : and spaces, and not start with : or AWS/".to_owned(),
        given: given.to_owned(),
    })
}

/// The metrics of every request. To add one, see `shared/README.md`.
const ALWAYS: [Metric; 5] = [
    count("requests"),
    count("server_errors"),
    milliseconds("duration_ms"),
    milliseconds("db_ms"),
    count("cold_starts"),
];
/// The metrics of some requests.
const SOMETIMES: [Metric; 5] = [
    milliseconds("db_connect_ms"),
    milliseconds("init_ms"),
    count("failed_sign_ins"),
    count("throttled"),
    count("refresh_reused"),
];
/// Metrics with the dimension `route`. `requests` is not one of them, because CloudWatch charges each combination and
/// the `SampleCount` of `duration_ms` is the number of requests of a route.
const BY_ROUTE: [Metric; 3] = [count("server_errors"), milliseconds("duration_ms"), milliseconds("db_ms")];
/// The metric with the dimension `code`, which error responses have.
const BY_CODE: [Metric; 1] = [count("errors")];

/// Whether this is the first request of the process. Only the first call returns true.
pub(crate) fn is_cold_start() -> bool {
    static WARM: AtomicBool = AtomicBool::new(false);
    !WARM.swap(true, Ordering::Relaxed)
}

/// Runs the work of a request and then writes its log line. Work that sends the response does not wait for the line.
pub(crate) async fn scope<F: Future>(work: F) -> F::Output {
    let work = async {
        let output = work.await;
        stats::with_current(write);
        output
    };
    stats::scope(work).await
}

fn write(stats: &RequestStats) {
    // A malformed event has no properties.
    let Some((info, outcome)) = stats.request() else { return };
    if super::is_json() {
        log::write_line(&json(info, outcome, stats));
        return;
    }
    let Outcome { status, code, duration, cold_start } = outcome;
    let (duration_ms, db_ms) = (in_milliseconds(duration), in_milliseconds(stats.database_time()));
    tracing::info!(method = info.method, status, code, duration_ms, db_ms, cold_start, "request");
}

/// The line in JSON. Members that are none are left out.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'static str,
    message: &'static str,
    route: &'a str,
    method: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    requests: u32,
    server_errors: u32,
    duration_ms: f64,
    db_ms: f64,
    cold_starts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    db_connect_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_sign_ins: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttled: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_reused: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<u32>,
    #[serde(rename = "_aws")]
    metadata: Metadata<'a>,
}

/// Describes the metrics of the line to CloudWatch.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    /// Milliseconds since 1970.
    timestamp: u64,
    cloud_watch_metrics: Option<&'a RawValue>,
}

/// Makes the line with its newline.
fn json(info: &RequestInfo, outcome: Outcome, stats: &RequestStats) -> Vec<u8> {
    let Outcome { cold_start, .. } = outcome;
    let now = SystemClock.now();
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (user_id, session_id) = stats.session().map(|Session { user, id }| (user, id)).unzip();
    let db_connect_ms = stats.connect_time(cold_start).map(in_milliseconds);
    let init_ms = stats::init_time().filter(|_| cold_start).map(in_milliseconds);
    let [failed_sign_ins, throttled, refresh_reused] =
        [stats.failed_sign_ins(), stats.throttled(), stats.reused_refreshes()]
            .map(|count| Some(count).filter(|count| *count > 0));
    let present = [
        db_connect_ms.is_some(),
        init_ms.is_some(),
        failed_sign_ins.is_some(),
        throttled.is_some(),
        refresh_reused.is_some(),
    ];
    let line = Line {
        timestamp: &rfc3339::text(now),
        level: if outcome.is_server_error() { "ERROR" } else { "INFO" },
        message: "request",
        route: &info.route,
        method: &info.method,
        status: outcome.status,
        code: outcome.code,
        user_id,
        session_id,
        request_id: &info.request_id,
        trace_id: info.trace_id.as_deref(),
        requests: 1,
        server_errors: outcome.is_server_error().into(),
        duration_ms: in_milliseconds(outcome.duration),
        db_ms: in_milliseconds(stats.database_time()),
        cold_starts: cold_start.into(),
        db_connect_ms,
        init_ms,
        failed_sign_ins,
        throttled,
        refresh_reused,
        errors: outcome.code.map(|_| 1),
        metadata: Metadata {
            timestamp: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            cloud_watch_metrics: directives(present, outcome.code.is_some()),
        },
    };
    // A typical line has 1.1 KiB.
    let mut text = Vec::with_capacity(1536);
    // Fails neither for a type of the line nor for memory as the target.
    let _ = serde_json::to_writer(&mut text, &line);
    text.push(b'\n');
    text
}

/// A metric directive. The metrics of the line that it names get its dimensions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'static str,
    dimensions: [&'a [&'static str]; 1],
    metrics: &'a [Metric],
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    /// The name of the unit in CloudWatch.
    unit: &'static str,
}

const fn count(name: &'static str) -> Metric {
    Metric { name, unit: "Count" }
}

const fn milliseconds(name: &'static str) -> Metric {
    Metric { name, unit: "Milliseconds" }
}

/// Returns the directives of a line as JSON. `present` tells which metrics of [`SOMETIMES`] the line has. The directives are
/// most of the line and there are few variants, so each is serialized once.
fn directives(present: [bool; SOMETIMES.len()], is_error: bool) -> Option<&'static RawValue> {
    static PREPARED: [OnceLock<Option<Box<RawValue>>>; 1 << (SOMETIMES.len() + 1)] =
        [const { OnceLock::new() }; 1 << (SOMETIMES.len() + 1)];
    let index = present.into_iter().chain([is_error]).fold(0, |index, bit| index << 1 | usize::from(bit));
    let prepare = || {
        let sometimes = SOMETIMES.into_iter().zip(present).filter_map(|(metric, present)| present.then_some(metric));
        let metrics: Vec<Metric> = ALWAYS.into_iter().chain(sometimes).collect();
        let by = |dimension, metrics| Directive { namespace: namespace(), dimensions: [dimension], metrics };
        let mut directives = vec![by(&[], &metrics), by(&["route"], &BY_ROUTE)];
        if is_error {
            directives.push(by(&["code"], &BY_CODE));
        }
        to_raw_value(&directives).ok()
    };
    PREPARED[index].get_or_init(prepare).as_deref()
}

/// Returns a time in milliseconds with microsecond precision, for example `1.234`.
#[expect(clippy::cast_precision_loss, reason = "2^53 µs are 285 years")]
fn in_milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
