//! Turns an event into a response. No other module calls handlers.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use lambda_http::http::Method;
use lambda_runtime::Context as LambdaContext;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use super::{Context, Endpoint, Handler, TypedEndpoint};
use crate::clock::Stopwatch;
use crate::error::{ApiError, Code};
use crate::http::{self, ErrorForm, Reply, Request, Response, Route};
use crate::report;
use crate::telemetry::spans::{self, RequestSpan};
use crate::telemetry::stats::{self, Outcome, RequestInfo};
use crate::telemetry::{request_line, xray};

/// Responds to one event and writes the line of the request. Errors and panics of the handler become responses in the format
/// of the API. `invocation` is used only for the log and the traces.
pub async fn respond<C: Context>(
    context: C,
    route: &Route,
    handle: impl Handler<C>,
    event: &str,
    invocation: &LambdaContext,
) -> Response {
    let endpoint = TypedEndpoint { context, handle };
    request_line::scope(respond_in_scope(&endpoint, route, event, invocation)).await
}

/// Responds to one event like [`respond`], within [`request_line::scope`].
pub(super) async fn respond_in_scope(
    endpoint: &dyn Endpoint,
    route: &Route,
    event: &str,
    invocation: &LambdaContext,
) -> Response {
    let request = match Request::from_event(event) {
        Ok(request) => request,
        Err(error) => {
            return reject_event(
                route,
                invocation,
                &ApiError::invalid("event", Code::InvalidRequest, report::chain(&error)),
            );
        }
    };
    let xray = xray::select(invocation.xray_trace_id.as_deref(), request.header("x-amzn-trace-id"));
    let span = spans::request(&RequestSpan {
        method: request.method.as_str(),
        path: route.path,
        request_id: &request.id,
        invocation_id: &invocation.request_id,
        xray,
        trace_context: [request.header("traceparent"), request.header("tracestate")],
    });
    stats::record_request(RequestInfo {
        route: route.to_string(),
        method: request.method.to_string(),
        request_id: request.id.clone(),
        trace_id: xray.and_then(xray::trace_id).map(str::to_owned),
    });
    let (id, is_head, form) = (request.id.clone(), request.method == Method::HEAD, ErrorForm::accepted_by(&request));
    let (is_https, limit) = (request.is_https(), endpoint.request_timeout());
    let reply = async move {
        http::reject_impossible_preconditions(route, &request)?;
        endpoint.handle(request).await
    };
    let mut response = finish(reply, limit, &id, form, &span).instrument(span.clone()).await;
    if is_https {
        response.require_https();
    }
    if is_head {
        response.remove_body();
    }
    response
}

/// Responds to an event that is not a request, for example because an integration has another payload format. It is logged and
/// counted like a request.
fn reject_event(route: &Route, invocation: &LambdaContext, error: &ApiError) -> Response {
    let stopwatch = Stopwatch::start();
    let xray = xray::select(invocation.xray_trace_id.as_deref(), None);
    stats::record_request(RequestInfo {
        route: route.to_string(),
        method: "unknown".to_owned(),
        request_id: invocation.request_id.clone(),
        trace_id: xray.and_then(xray::trace_id).map(str::to_owned),
    });
    tracing::warn!(cause = error.message(), "the event is not a request of an HTTP API with payload format 2.0");
    let response = http::failure(error, &invocation.request_id, ErrorForm::Envelope);
    let (status, code, cold_start) = (response.status_code, Some(error.code().as_str()), request_line::is_cold_start());
    stats::record_outcome(Outcome { status, code, duration: stopwatch.elapsed(), cold_start });
    response
}

/// Awaits the reply of the handler, makes the response, and records the outcome for the log and in the span.
async fn finish(
    reply: impl Future<Output = Result<Reply, ApiError>>,
    limit: Duration,
    request_id: &str,
    form: ErrorForm,
    span: &Span,
) -> Response {
    let stopwatch = Stopwatch::start();
    let reply = match timeout(limit, AssertUnwindSafe(reply).catch_unwind()).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => Err(ApiError::internal("the handler panicked")),
        Err(elapsed) => Err(ApiError::Unavailable(Box::new(elapsed))),
    };
    let (response, code) = match reply.and_then(http::success) {
        Ok(response) => (response, None),
        Err(error) => {
            log(&error);
            (http::failure(&error, request_id, form), Some(error.code().as_str()))
        }
    };
    let (status, cold_start) = (response.status_code, request_line::is_cold_start());
    let outcome = Outcome { status, code, duration: stopwatch.elapsed(), cold_start };
    spans::record_outcome(span, outcome);
    stats::record_outcome(outcome);
    response
}

/// Logs the cause of an error, which the request line does not contain. Errors of the caller are logged at level DEBUG.
fn log(error: &ApiError) {
    let (code, cause) = (error.code().as_str(), report::chain(error));
    if error.status().is_server_error() {
        tracing::error!(code, cause, "request failed");
    } else {
        tracing::debug!(code, cause, "request rejected");
    }
}
