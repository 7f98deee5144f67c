//! One log line for each request, which is also its metrics: CloudWatch reads them from the line by the embedded metric
//! format, without a call:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::stats::{self, RequestStats};
use crate::clock::{Clock, SystemClock};
use crate::domain::{Session, rfc3339};

/// The namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "Keyhold";

/// Metrics that are also counted for each route. CloudWatch bills every combination, and `SampleCount` of a route's
/// duration is its number of requests.
const METRICS_BY_ROUTE: [&str; 3] = ["server_errors", "duration_ms", "db_ms"];
/// The metric that is counted for each error code, and not without one.
const METRIC_BY_CODE: &str = "errors";

/// The fields that identify a request.
#[derive(Clone, Copy)]
pub(crate) struct RequestInfo<'a> {
    /// The route, as in `GET /api/data/{key+}`.
    pub(crate) route: &'a str,
    pub(crate) method: &'a str,
    pub(crate) request_id: &'a str,
    /// The X-Ray trace id, if the request is traced.
    pub(crate) trace_id: Option<&'a str>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The error code, as in `KEY_NOT_FOUND`.
    pub(crate) code: Option<&'static str>,
}

impl Outcome {
    /// Whether the service failed, not the caller.
    pub(crate) fn is_server_error(self) -> bool {
        self.status >= 500
    }
}

/// Whether this is the first request of the process. True once.
pub(crate) fn is_cold_start() -> bool {
    static WARM: AtomicBool = AtomicBool::new(false);
    !WARM.swap(true, Ordering::Relaxed)
}

/// Writes the line of the current request. Call it within [`stats::scope`].
pub(crate) fn write(info: RequestInfo<'_>, outcome: Outcome, duration: Duration, cold_start: bool) {
    stats::with_current(|stats| Line { info, stats, outcome, duration, cold_start }.write());
}

struct Line<'a> {
    info: RequestInfo<'a>,
    stats: &'a RequestStats,
    outcome: Outcome,
    duration: Duration,
    cold_start: bool,
}

impl Line<'_> {
    fn write(&self) {
        if super::is_json() {
            // `println!` would panic if standard output is closed.
            let _ = writeln!(std::io::stdout(), "{}", self.json(SystemClock.now()));
            return;
        }
        let Outcome { status, code } = self.outcome;
        let (duration_ms, db_ms) = (milliseconds(self.duration), milliseconds(self.stats.database_time()));
        let (method, cold_start) = (self.info.method, self.cold_start);
        tracing::info!(method, status, code, duration_ms, db_ms, cold_start, "request");
    }

    fn json(&self, now: SystemTime) -> Value {
        let Self { info, stats, outcome, .. } = self;
        let mut line = Map::new();
        let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
        put("timestamp", json!(rfc3339::text(now)));
        put("level", json!(if outcome.is_server_error() { "ERROR" } else { "INFO" }));
        put("message", json!("request"));
        put("route", json!(info.route));
        put("method", json!(info.method));
        put("status", json!(outcome.status));
        if let Some(code) = outcome.code {
            put("code", json!(code));
        }
        if let Some(Session { user, id }) = stats.session() {
            put("user_id", json!(user));
            put("session_id", json!(id));
        }
        put("request_id", json!(info.request_id));
        if let Some(trace_id) = info.trace_id {
            put("trace_id", json!(trace_id));
        }
        let metrics = self.metrics();
        let directive = |dimensions: &[&str], include: &dyn Fn(&str) -> bool| {
            let included = metrics.iter().filter(|metric| include(metric.name));
            let described: Vec<_> =
                included.map(|metric| json!({ "Name": metric.name, "Unit": metric.unit })).collect();
            json!({ "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": described })
        };
        let mut directives = vec![
            directive(&[], &|name| name != METRIC_BY_CODE),
            directive(&["route"], &|name| METRICS_BY_ROUTE.contains(&name)),
        ];
        if outcome.code.is_some() {
            directives.push(directive(&["code"], &|name| name == METRIC_BY_CODE));
        }
        for metric in metrics {
            put(metric.name, metric.value);
        }
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        put("_aws", json!({ "Timestamp": timestamp, "CloudWatchMetrics": directives }));
        Value::Object(line)
    }

    /// The metrics of the line. To add one, see `shared/README.md`.
    fn metrics(&self) -> Vec<Metric> {
        let Self { stats, outcome, cold_start, .. } = self;
        let mut metrics = vec![
            Metric::count("requests", 1),
            Metric::count("server_errors", u32::from(outcome.is_server_error())),
            Metric::time("duration_ms", self.duration),
            Metric::time("db_ms", stats.database_time()),
            Metric::count("cold_starts", u32::from(*cold_start)),
        ];
        metrics.extend(stats.connect_time(*cold_start).map(|time| Metric::time("db_connect_ms", time)));
        metrics.extend(stats::init_time().filter(|_| *cold_start).map(|time| Metric::time("init_ms", time)));
        if stats.failed_sign_ins() > 0 {
            metrics.push(Metric::count("failed_sign_ins", stats.failed_sign_ins()));
        }
        if outcome.code.is_some() {
            metrics.push(Metric::count(METRIC_BY_CODE, 1));
        }
        metrics
    }
}

struct Metric {
    name: &'static str,
    /// A unit of CloudWatch.
    unit: &'static str,
    value: Value,
}

impl Metric {
    fn count(name: &'static str, value: u32) -> Self {
        Self { name, unit: "Count", value: json!(value) }
    }

    fn time(name: &'static str, time: Duration) -> Self {
        Self { name, unit: "Milliseconds", value: json!(milliseconds(time)) }
    }
}

/// Milliseconds with microsecond precision, as in `1.234`.
#[expect(clippy::cast_precision_loss, reason = "2^53 µs are 285 years")]
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
