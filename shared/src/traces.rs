//! Traces: the trace that a request is part of, and the spans of what takes its time. Names and attributes are those of
//! OpenTelemetry's semantic conventions: <https://opentelemetry.io/docs/specs/semconv/>.
//!
//! Spans are made by `tracing`, under a target that the log does not hear. Only `otlp`, a feature, does; without it a span
//! costs a look at a flag. None has a body, a key, an address or a parameter of a statement.

#[cfg(feature = "otlp")]
pub(crate) mod otlp;

use lambda_http::Context as Invocation;
use tokio_postgres::error::SqlState;
use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::auth::access_token::Session;
use crate::http::{Request, Route};
use crate::request_log::Ending;

/// The target of all spans of this module.
const TARGET: &str = "traces";

/// The id of the trace that a request is part of, as X-Ray's search takes it: `1-5759e988-bd862e3fe1be46a994272793`.
pub(crate) fn id<'a>(invocation: &'a Invocation, request: &'a Request) -> Option<&'a str> {
    root(xray(invocation, request)?)
}

/// The trace that X-Ray has a request in: `Root=…;Parent=…;Sampled=…`. Lambda's word counts before the request's, which
/// other gateways, and clients, write.
fn xray<'a>(invocation: &'a Invocation, request: &'a Request) -> Option<&'a str> {
    let told = [invocation.xray_trace_id.as_deref(), request.header("x-amzn-trace-id")];
    told.into_iter().flatten().find(|header| root(header).is_some())
}

/// The trace's id, if it is well formed: it goes into the log.
fn root(header: &str) -> Option<&str> {
    let root = member(header, "Root")?;
    let (time, rest) = root.strip_prefix("1-")?.split_once('-')?;
    (is_hex(time, 8) && is_hex(rest, 24)).then_some(root)
}

fn member<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let mut members = header.split(';').filter_map(|member| member.trim().split_once('='));
    members.find_map(|(other, value)| (other == name).then_some(value))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The span of a request, to be ended by [`ended`].
pub(crate) fn request(route: &Route, request: &Request, invocation: &Invocation) -> Span {
    // What the path has in place of `{key}` is for the caller alone: no `url.path`, though the conventions ask for one.
    let path = || route.path.replace("+}", "}");
    let span = info_span!(
        target: TARGET,
        "request",
        otel.kind = "server",
        otel.name = format!("{} {}", request.method, path()),
        otel.status_code = Empty,
        http.request.method = request.method.as_str(),
        http.route = path(),
        http.response.status_code = Empty,
        "error.type" = Empty,
        faas.trigger = "http",
        faas.coldstart = Empty,
        faas.invocation_id = invocation.request_id,
        keyhold.request_id = request.id,
        user.id = Empty,
        session.id = Empty,
    );
    #[cfg(feature = "otlp")]
    otlp::continue_trace(&span, xray(invocation, request), &request.headers);
    span
}

/// Says in a request's span how the request ended.
pub(crate) fn ended(span: &Span, ending: Ending, session: Option<Session>, cold_start: bool) {
    if span.is_disabled() {
        return;
    }
    span.record("http.response.status_code", ending.status);
    span.record("faas.coldstart", cold_start);
    if let Some(code) = ending.code.and_then(|code| serde_json::to_value(code).ok()) {
        span.record("error.type", code.as_str());
    }
    // What the caller did wrong is no error of the server's, by the conventions for HTTP.
    if ending.status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(Session { user, id }) = session {
        span.record("user.id", tracing::field::display(user));
        span.record("session.id", tracing::field::display(id));
    }
}

/// The span of something that the database is asked for: a statement by its text, anything else by a name.
pub(crate) fn database(operation: Option<&str>, text: Option<&str>) -> Span {
    within_request(|| {
        info_span!(
            target: TARGET,
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

const DATABASE: &str = "postgresql";

/// Says in a span of the database's why there is no answer: the server's word, or that there was none.
pub(crate) fn unanswered(span: &Span, state: Option<&SqlState>) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", state.map_or("unanswered", SqlState::code));
    span.record("db.response.status_code", state.map(SqlState::code));
}

/// The span of work on a password's hash.
pub(crate) fn hashing(operation: &str) -> Span {
    within_request(|| info_span!(target: TARGET, "password", otel.name = operation))
}

/// What happens at the start belongs to no request: it would be a trace of its own.
fn within_request(span: impl FnOnce() -> Span) -> Span {
    if Span::current().is_none() { Span::none() } else { span() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_known_by_its_root() {
        const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";
        for header in [
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            "Self=1-67891234-12456789abcdef012345678; Root=1-5759e988-bd862e3fe1be46a994272793; Lineage=a:0",
        ] {
            assert_eq!(root(header), Some(ROOT), "{header}");
        }
    }

    #[test]
    fn what_is_no_trace_id_is_not_taken_for_one() {
        for header in [
            "",
            "1-5759e988-bd862e3fe1be46a994272793",
            "Root=",
            "Root=1-5759e988-bd862e3fe1be46a99427279",
            "Root=1-5759e988-bd862e3fe1be46a99427279x",
            "Root=2-5759e988-bd862e3fe1be46a994272793",
            "Parent=1-5759e988-bd862e3fe1be46a994272793",
        ] {
            assert_eq!(root(header), None, "{header}");
        }
    }
}
