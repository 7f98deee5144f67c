//! Turns an event into a response. No other module calls handlers.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use lambda_http::http::Method;
use lambda_runtime::Context as LambdaContext;
use tokio::time::timeout;
use tracing::{Instrument, Span, info_span};

use super::{Context, Handler};
use crate::clock::Stopwatch;
use crate::error::{ApiError, Code};
use crate::http::{self, ErrorForm, Reply, Request, Response, Route};
use crate::report;
use crate::telemetry::request_line::{self, Outcome, RequestInfo};
use crate::telemetry::spans::{self, RequestSpan};
use crate::telemetry::{stats, xray};

/// Maximum time for a request. It is less than the functions' timeout of 15 s, at which the gateway would respond with
/// an error of its own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(13);

/// Responds to one event. Errors and panics of the handler become responses in the format of the API. `invocation` is
/// used only for the log and the traces.
pub async fn respond<C: Context>(
    context: C,
    route: &Route,
    handle: impl Handler<C>,
    event: &str,
    invocation: &LambdaContext,
) -> Response {
    let request = match Request::from_event(event) {
        Ok(request) => request,
        Err(error) => {
            let error = ApiError::invalid("body", Code::InvalidRequest, report::chain(&error));
            return http::failure(&error, "", ErrorForm::Envelope);
        }
    };
    let xray = xray::select(invocation.xray_trace_id.as_deref(), request.header("x-amzn-trace-id")).map(str::to_owned);
    let request_span = spans::request(&RequestSpan {
        method: request.method.as_str(),
        path: route.path,
        request_id: &request.id,
        invocation_id: &invocation.request_id,
        xray: xray.as_deref(),
        trace_context: [request.header("traceparent"), request.header("tracestate")],
    });
    let (id, method, form) = (request.id.clone(), request.method.clone(), ErrorForm::accepted_by(&request));
    let route = route.to_string();
    let info = RequestInfo {
        route: &route,
        method: method.as_str(),
        request_id: &id,
        trace_id: xray.as_deref().and_then(xray::trace_id),
    };
    let log_span = info_span!("request", route = info.route, request_id = info.request_id);
    // Boxed, because the compiler makes one type of nested futures and fails if they are nested too deeply.
    let reply = Box::pin(handle(context, request));
    let responding = finish(reply, info, form, &request_span).instrument(log_span);
    let mut response = stats::scope(responding.instrument(request_span.clone())).await;
    if method == Method::HEAD {
        response.body = None;
        response.is_base64_encoded = false;
    }
    response
}

/// Awaits the reply of the handler, makes the response, and records the outcome in the log and the span.
async fn finish(
    reply: impl Future<Output = Result<Reply, ApiError>>,
    info: RequestInfo<'_>,
    form: ErrorForm,
    span: &Span,
) -> Response {
    let stopwatch = Stopwatch::start();
    let reply = match timeout(REQUEST_TIMEOUT, AssertUnwindSafe(reply).catch_unwind()).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => Err(ApiError::internal("the handler panicked")),
        Err(elapsed) => Err(ApiError::Unavailable(Box::new(elapsed))),
    };
    let (response, code) = match reply.and_then(http::success) {
        Ok(response) => (response, None),
        Err(error) => {
            log(&error);
            (http::failure(&error, info.request_id, form), Some(error.code().as_str()))
        }
    };
    let outcome = Outcome { status: response.status_code, code };
    let cold_start = request_line::is_cold_start();
    spans::record_outcome(span, outcome, cold_start);
    request_line::write(info, outcome, stopwatch.elapsed(), cold_start);
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
