//! Spans of traces: a request, and what takes its time. Names and attributes follow OpenTelemetry's semantic conventions:
//! <https://opentelemetry.io/docs/specs/semconv/>.
//!
//! The spans have a target of their own that the log ignores. Only the feature `otlp` reads them; without it a span costs
//! one check of a flag. No span contains a body, a key, an address, or a statement's parameters.

use lambda_http::http::HeaderMap;
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::request_line::Outcome;
use super::{SPAN_TARGET, stats};
use crate::domain::Session;

const DATABASE: &str = "postgresql";

/// The initial attributes of a request span.
pub(crate) struct RequestSpan<'a> {
    pub(crate) method: &'a str,
    /// The path of the route, as in `/api/data/{key+}`.
    pub(crate) path: &'a str,
    pub(crate) request_id: &'a str,
    /// Lambda's id of the invocation.
    pub(crate) invocation_id: &'a str,
    /// The X-Ray header that names the trace.
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only an export continues a trace"))]
    pub(crate) xray: Option<&'a str>,
    /// The headers of the request, one of which may be `traceparent`.
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only an export continues a trace"))]
    pub(crate) headers: &'a HeaderMap,
}

/// Makes the span of a request. [`record_outcome`] completes it.
pub(crate) fn request(request: &RequestSpan<'_>) -> Span {
    // The actual path contains the caller's key, so `url.path` is left out although the conventions ask for it.
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
    super::otlp::continue_trace(&span, request.xray, request.headers);
    span
}

/// Records in the span of the current request how it ended.
pub(crate) fn record_outcome(span: &Span, outcome: Outcome, cold_start: bool) {
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", outcome.status);
    span.record("faas.coldstart", cold_start);
    span.record("error.type", outcome.code);
    // By the conventions for HTTP servers, a 4xx is not an error of the span.
    if outcome.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(Session { user, id }) = stats::with_current(|stats| stats.session()).flatten() {
        span.record("user.id", tracing::field::display(user));
        span.record("session.id", tracing::field::display(id));
    }
}

/// Makes the span of a database operation: a statement by its text, anything else by a name.
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

/// Records in a database span that the operation failed: with the SQLSTATE, or without a response.
pub(crate) fn record_failure(span: &Span, sqlstate: Option<&str>) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", sqlstate.unwrap_or("unanswered"));
    span.record("db.response.status_code", sqlstate);
}

/// Makes the span of password hashing.
pub(crate) fn hashing(operation: &str) -> Span {
    within_request(|| info_span!(target: SPAN_TARGET, "password", otel.name = operation))
}

/// A span during the start would be a trace of its own.
fn within_request(span: impl FnOnce() -> Span) -> Span {
    if Span::current().is_none() { Span::none() } else { span() }
}
