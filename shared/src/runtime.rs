//! From an invocation to an answer: the only home of the Lambda runtime, and the only place that makes a response.

#![expect(clippy::disallowed_methods, reason = "this is the home of the Lambda runtime")]

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::{FutureExt, TryFutureExt};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use lambda_http::http::{HeaderMap, StatusCode};
use lambda_http::lambda_runtime::{Diagnostic, Runtime};
use lambda_http::{Body, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tracing::{Instrument, info_span};

use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{self, Settings};
use crate::error::{ApiError, BoxError, Code, Fault};
use crate::http::{Payload, Reply, Request, Route};
use crate::secrets::{Keys, NoKeys, Secrets};
use crate::telemetry;

/// The type of an endpoint: a context and a request become a reply or an error.
pub trait Handler<K: Keys>: Fn(App<K>, Request) -> Self::Future + Clone + Send + 'static {
    /// What the handler returns.
    type Future: Future<Output = Result<Reply, ApiError>> + Send + 'static;
}

impl<K: Keys, H, F> Handler<K> for H
where
    H: Fn(App<K>, Request) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Reply, ApiError>> + Send + 'static,
{
    type Future = F;
}

/// Serves an endpoint until its environment ends. Fails only if it cannot start, having said why.
pub async fn serve<K: Keys>(route: Route, handle: impl Handler<K>) -> ExitCode {
    telemetry::init();
    let served = async {
        let app = start().await?;
        let service = service_fn(move |event: LambdaEvent<Payload>| {
            let (app, handle, route) = (app.clone(), handle.clone(), route.clone());
            async move { Ok::<_, Infallible>(respond(app, &route, handle, event.payload.as_str()).await) }
        });
        until_the_end(Runtime::new(service).run_concurrent()).await;
        Ok(())
    };
    exit_code(served.await)
}

/// Serves a function that is no endpoint but a piece of work without input, such as `migrate`: in Lambda once for each
/// event, elsewhere once, printing what came of it.
pub async fn serve_task<F, T>(task: impl Fn(App<NoKeys>) -> F + Clone + Send + 'static) -> ExitCode
where
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    telemetry::init();
    let served = async {
        let app = start().await?;
        if config::is_lambda() {
            let service =
                service_fn(move |_: LambdaEvent<IgnoredAny>| task(app.clone()).map_err(|error| failed(&error)));
            until_the_end(Runtime::new(service).run_concurrent()).await;
        } else {
            println!("{}", serde_json::to_string(&task(app).await?)?);
        }
        Ok(())
    };
    exit_code(served.await)
}

/// What the invoker of a task gets to know, and the log with it.
fn failed(error: &BoxError) -> Diagnostic {
    let error_message = telemetry::chain(error.as_ref());
    tracing::error!("the task failed: {error_message}");
    Diagnostic { error_type: "TaskFailed".to_owned(), error_message }
}

/// An environment ends by its Runtime API hanging up, which the runtime reports as an error.
async fn until_the_end(polling: impl Future<Output = Result<(), BoxError>>) {
    if let Err(error) = polling.await {
        tracing::warn!("the environment ended: {}", telemetry::chain(error.as_ref()));
    }
}

fn exit_code(served: Result<(), BoxError>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the function cannot work: {}", telemetry::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Makes everything ready that a request would otherwise wait for. A database that is down does not stop it.
async fn start<K: Keys>() -> Result<App<K>, BoxError> {
    let settings = Settings::from_env()?;
    let connections = config::max_concurrency()?;
    let clock = Arc::new(SystemClock);
    let secrets = Arc::new(Secrets::load(clock.clone()).await?);
    let app = App::new(settings, secrets, clock, connections);
    app.db().warm_up().await;
    Ok(app)
}

/// Answers one event. Whatever happens in the handler, even a panic, becomes a response of the contract.
pub async fn respond<K: Keys>(
    app: App<K>,
    route: &Route,
    handle: impl Handler<K>,
    event: &str,
) -> ApiGatewayV2httpResponse {
    let request = match Request::from_event(event) {
        Ok(request) => request,
        Err(error) => {
            let fault = ApiError::invalid("body", Code::InvalidRequest, telemetry::chain(&error));
            return failure(&fault, "");
        }
    };
    let id = request.id.clone();
    let span = info_span!("request", %route, request_id = id);
    let answer = async move {
        let outcome = AssertUnwindSafe(handle(app, request)).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|_| Err(ApiError::Internal("the handler panicked".into())));
        match outcome.and_then(success) {
            Ok(response) => response,
            Err(error) => {
                log(&error);
                failure(&error, &id)
            }
        }
    };
    answer.instrument(span).await
}

/// Server errors are ours to mend; the rest is between the caller and the contract.
fn log(error: &ApiError) {
    let (code, cause) = (error.code(), telemetry::chain(error));
    if error.status().is_server_error() {
        tracing::error!(?code, cause, "request failed");
    } else {
        tracing::debug!(?code, cause, "request refused");
    }
}

#[derive(Serialize)]
struct Failure<'a> {
    status: &'static str,
    code: Code,
    message: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

fn success(reply: Reply) -> Result<ApiGatewayV2httpResponse, ApiError> {
    if reply.status == StatusCode::NOT_MODIFIED {
        return Ok(response(reply.status, reply.headers, None));
    }
    let written = |json: Result<String, serde_json::Error>| json.map_err(|error| ApiError::Internal(Box::new(error)));
    if let Some(document) = reply.document {
        return Ok(response(reply.status, reply.headers, Some(written(document)?)));
    }
    let mut body = String::from(r#"{"status":"success""#);
    if let Some(message) = reply.message {
        body.extend([r#","message":"#, &Value::from(message).to_string()]);
    }
    if let Some(data) = reply.data {
        // Put in as it was written: a stored value is megabytes at worst, and parsing it again would cost more than the rest.
        body.extend([r#","data":"#, &written(data)?]);
    }
    body.push('}');
    Ok(response(reply.status, reply.headers, Some(body)))
}

fn failure(error: &ApiError, request_id: &str) -> ApiGatewayV2httpResponse {
    let mut headers = HeaderMap::new();
    if let Some(challenge) = error.challenge() {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(wait) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    let envelope =
        Failure { status: "error", code: error.code(), message: error.message(), request_id, errors: error.faults() };
    // Texts and enums: nothing in there can fail to be written.
    let body = serde_json::to_string(&envelope).unwrap_or_default();
    response(error.status(), headers, Some(body))
}

fn response(status: StatusCode, mut headers: HeaderMap, body: Option<String>) -> ApiGatewayV2httpResponse {
    if body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = status.as_u16().into();
    response.headers = headers;
    response.body = body.map(Body::Text);
    response
}
