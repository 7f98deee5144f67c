//! Trace spans of requests, database operations, and password hashing. Names and attributes follow OpenTelemetry's
//! semantic conventions: <https://opentelemetry.io/docs/specs/semconv/>.
//!
//! The log ignores the target of these spans. Only the feature `otlp` reads them; without it, a span costs one check of
//! a flag. No span contains a body, a key, an email address, or the parameters of a statement.

use tracing::field::Empty;
use tracing::{Span, info_span};

use super::SPAN_TARGET;
use super::stats::{self, Outcome};
use crate::domain::Session;

const DATABASE: &str = "postgresql";

/// The attributes that are known at the start of a request span.
pub(crate) struct RequestSpan<'a> {
    pub(crate) method: &'a str,
    /// The path of the route, for example `/api/data/{key+}`.
    pub(crate) path: &'a str,
    pub(crate) request_id: &'a str,
    /// The id that Lambda gave to the invocation.
    pub(crate) invocation_id: &'a str,
    /// The X-Ray header that names the trace.
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only an export continues a trace"))]
    pub(crate) xray: Option<&'a str>,
    /// The headers `traceparent` and `tracestate` of the request (W3C Trace Context).
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only an export continues a trace"))]
    pub(crate) trace_context: [Option<&'a str>; 2],
}

/// Makes the span of a request. [`record_outcome`] completes it.
pub(crate) fn request(request: &RequestSpan<'_>) -> Span {
    // `url.path` is left out, although the conventions require it, because the path contains the caller's key.
    let path = || request.path.replace("+}", "}");
    let span = info_span!(
        target: SPAN_TARGET,
        "request",
        otel.kind = "server",
        otel.name = format!("{} {}", request.method, path()),
        otel.status_code = Empty,
        http.request.method = request.method,
        http.route = path(),
        http.response.status_code = Empty,
        "error.type" = Empty,
        faas.trigger = "http",
        faas.coldstart = Empty,
        faas.invocation_id = request.invocation_id,
        keyhold.request_id = request.request_id,
        user.id = Empty,
        session.id = Empty,
    );
    #[cfg(feature = "otlp")]
    super::otlp::continue_trace(&span, request.xray, request.trace_context);
    span
}

/// Records the outcome and the session of the current request in its span.
pub(crate) fn record_outcome(span: &Span, outcome: Outcome) {
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", outcome.status);
    span.record("faas.coldstart", outcome.cold_start);
    span.record("error.type", outcome.code);
    // The conventions for HTTP servers do not treat a 4xx as an error of the span.
    if outcome.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(Session { user, id }) = stats::with_current(|stats| stats.session()).flatten() {
        span.record("user.id", tracing::field::display(user));
        span.record("session.id", tracing::field::display(id));
    }
}

/// Makes the span of a database operation. A statement has a `text`; other operations have a name.
pub(crate) fn database(operation: Option<&str>, text: Option<&str>) -> Span {
    within_request(|| {
        info_span!(
            target: SPAN_TARGET,
            "database",
            otel.kind = "client",
            otel.name = operation.unwrap_or(DATABASE),
            otel.status_code = Empty,
            db.system.name = DATABASE,
            db.operation.name = operation,
            db.query.text = text.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
            db.response.status_code = Empty,
            "error.type" = Empty,
        )
    })
}

/// Records the failure of a database operation in its span. Without an SQLSTATE, there was no response.
pub(crate) fn record_failure(span: &Span, sqlstate: Option<&str>) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", sqlstate.unwrap_or("unanswered"));
    span.record("db.response.status_code", sqlstate);
}

/// Makes the span of password hashing.
pub(crate) fn hashing(operation: &str) -> Span {
    within_request(|| info_span!(target: SPAN_TARGET, "password", otel.name = operation))
}

/// Makes a span if there is a request. During the start it would become a separate trace.
fn within_request(span: impl FnOnce() -> Span) -> Span {
    if Span::current().is_none() { Span::none() } else { span() }
}
