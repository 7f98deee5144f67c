//! From an invocation to an answer: the only home of the Lambda runtime, and the only place that makes a response.

#![expect(clippy::disallowed_methods, reason = "this is the home of the Lambda runtime")]

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{FutureExt, TryFutureExt};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use lambda_http::http::{HeaderMap, Method, StatusCode};
use lambda_http::lambda_runtime::{Diagnostic, Runtime};
use lambda_http::{Body, Context as LambdaContext, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;
use tracing::{Instrument, info_span};

use crate::app::App;
use crate::auth::key_ring::KeyRing;
use crate::clock::{Stopwatch, SystemClock};
use crate::config::{self, Settings};
use crate::error::{ApiError, BoxError, Code, Fault};
use crate::http::{self, Content, Payload, Reply, Request, Route};
use crate::request_log::{self, Ending, Subject};
use crate::secrets::{Keys, NoKeys, Secrets};
use crate::{telemetry, traces};

/// What a function is handed with each request: everything that it needs and nothing else, made ready at the start.
pub trait Context: Clone + Send + Sync + 'static {
    /// Makes it ready.
    ///
    /// # Errors
    /// A setting or a secret is missing or wrong.
    fn start() -> impl Future<Output = Result<Self, BoxError>> + Send;
}

impl<K: Keys> Context for App<K> {
    /// A database that is down does not stop it.
    async fn start() -> Result<Self, BoxError> {
        let settings = Settings::from_env()?;
        let connections = config::max_concurrency()?;
        let clock = Arc::new(SystemClock);
        let secrets = Arc::new(Secrets::load(clock.clone()).await?);
        let app = Self::new(settings, secrets, clock, connections);
        app.db().warm_up().await;
        Ok(app)
    }
}

/// For a function that needs the signing keys and no database.
impl Context for Arc<Secrets<KeyRing>> {
    async fn start() -> Result<Self, BoxError> {
        Ok(Self::new(Secrets::load_keys(Arc::new(SystemClock)).await?))
    }
}

/// For a function that needs neither a database nor a secret, and links neither.
impl Context for () {
    async fn start() -> Result<Self, BoxError> {
        Ok(())
    }
}

/// The type of an endpoint: a context and a request become a reply or an error.
pub trait Handler<C: Context>: Fn(C, Request) -> Self::Future + Clone + Send + 'static {
    /// What the handler returns.
    type Future: Future<Output = Result<Reply, ApiError>> + Send + 'static;
}

impl<C: Context, H, F> Handler<C> for H
where
    H: Fn(C, Request) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Reply, ApiError>> + Send + 'static,
{
    type Future = F;
}

/// Serves an endpoint until its environment ends. Fails only if it cannot start, having said why.
pub async fn serve<C: Context>(route: Route, handle: impl Handler<C>) -> ExitCode {
    telemetry::init();
    let stopwatch = Stopwatch::start();
    let served = async {
        let context = C::start().await?;
        request_log::note_init(stopwatch.elapsed());
        let service = service_fn(move |event: LambdaEvent<Payload>| {
            let (context, handle, route) = (context.clone(), handle.clone(), route.clone());
            async move {
                let LambdaEvent { payload, context: invocation, .. } = event;
                Ok::<_, Infallible>(respond(context, &route, handle, payload.as_str(), &invocation).await)
            }
        });
        let runtime = Runtime::new(service);
        #[cfg(feature = "otlp")]
        let runtime = runtime.layer(traces::otlp::Exporting);
        until_the_end(runtime.run_concurrent()).await;
        Ok(())
    };
    exit_code(served.await)
}

/// Serves a function that is no endpoint but a piece of work without input, such as `data-sweep`: in Lambda once for each
/// event, elsewhere once, printing what came of it.
pub async fn serve_task<F, T>(task: impl Fn(App<NoKeys>) -> F + Clone + Send + 'static) -> ExitCode
where
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    serve_work(async {
        let app = App::<NoKeys>::start().await?;
        Ok(move |_: Invocation| task(app.clone()))
    })
    .await
}

/// What a piece of work is invoked with.
pub struct Invocation {
    /// The event, which is JSON; `null` where the function runs as a program.
    pub event: String,
    /// When Lambda will end it, if it is Lambda that invokes it.
    pub deadline: Option<SystemTime>,
}

/// The same for work that looks at its event. Nothing is made ready before: what is wrong with a setting or a secret shows
/// when somebody is there to be told.
pub async fn serve_invocations<F, T>(work: impl Fn(Invocation) -> F + Clone + Send + 'static) -> ExitCode
where
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    serve_work(std::future::ready(Ok(work))).await
}

async fn serve_work<W, F, T>(start: impl Future<Output = Result<W, BoxError>>) -> ExitCode
where
    W: Fn(Invocation) -> F + Clone + Send + 'static,
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
    T: Serialize + Send + 'static,
{
    telemetry::init();
    let served = async {
        let work = start.await?;
        if config::is_lambda() {
            let service = service_fn(move |event: LambdaEvent<Payload>| {
                let (event, deadline) = (event.payload.as_str().to_owned(), Some(event.context.deadline()));
                work(Invocation { event, deadline }).map_err(|error| failed(&error))
            });
            until_the_end(Runtime::new(service).run_concurrent()).await;
        } else {
            let outcome = work(Invocation { event: "null".to_owned(), deadline: None }).await?;
            println!("{}", serde_json::to_string(&outcome)?);
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

/// How long a request may take, below the functions' timeout of 15 s, at which the gateway would answer in our place.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(13);

/// Answers one event. Whatever happens in the handler, even a panic, becomes a response of the contract. Of the invocation
/// only the log and the traces tell.
pub async fn respond<C: Context>(
    context: C,
    route: &Route,
    handle: impl Handler<C>,
    event: &str,
    invocation: &LambdaContext,
) -> ApiGatewayV2httpResponse {
    let request = match Request::from_event(event) {
        Ok(request) => request,
        Err(error) => {
            let fault = ApiError::invalid("body", Code::InvalidRequest, telemetry::chain(&error));
            return failure(&fault, "", ErrorForm::Envelope);
        }
    };
    let (id, method, form) = (request.id.clone(), request.method.clone(), ErrorForm::wanted_by(&request));
    let trace_id = traces::id(invocation, &request).map(str::to_owned);
    let traced = traces::request(route, &request, invocation);
    let span = info_span!("request", %route, request_id = id);
    let subject = Subject {
        route: route.to_string(),
        method: method.as_str(),
        request_id: &id,
        trace_id: trace_id.as_deref(),
        span: &traced,
    };
    // Boxed: the compiler lays out nested futures as one, and gives up where they are nested too deep.
    let handled = AssertUnwindSafe(Box::pin(handle(context, request)));
    let handled = timeout(REQUEST_TIMEOUT, handled.catch_unwind());
    let answer = async {
        let outcome = match handled.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(ApiError::Internal("the handler panicked".into())),
            Err(elapsed) => Err(ApiError::Unavailable(Box::new(elapsed))),
        };
        match outcome.and_then(success) {
            Ok(response) => (response, None),
            Err(error) => {
                log(&error);
                (failure(&error, &id, form), Some(error.code()))
            }
        }
    };
    let ending = |(response, code): &(ApiGatewayV2httpResponse, Option<Code>)| Ending {
        status: u16::try_from(response.status_code).unwrap_or_default(),
        code: *code,
    };
    let answered = request_log::logged(subject, answer, ending).instrument(span);
    let (mut response, _) = answered.instrument(traced.clone()).await;
    if method == Method::HEAD {
        response.body = None;
        response.is_base64_encoded = false;
    }
    response
}

/// Why a request failed, which its own line does not say. Server errors are ours to mend; the rest is between the caller
/// and the contract.
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

/// The same as RFC 9457 has it. What kind of problem it is, `code` says.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    code: Code,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

/// The form that errors take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorForm {
    Envelope,
    Problem,
}

fn success(reply: Reply) -> Result<ApiGatewayV2httpResponse, ApiError> {
    let written = |json: Result<String, serde_json::Error>| json.map_err(|error| ApiError::Internal(Box::new(error)));
    let body = match reply.content {
        Content::Envelope { message, data } => {
            let mut body = String::from(r#"{"status":"success""#);
            if let Some(message) = message {
                body.extend([r#","message":"#, &Value::from(message).to_string()]);
            }
            if let Some(data) = data {
                // Put in as it was written: a stored value is megabytes at worst, and parsing it again would cost more than
                // the rest.
                body.extend([r#","data":"#, &written(data)?]);
            }
            body.push('}');
            Some(Body::Text(body))
        }
        Content::Document(document) => Some(Body::Text(written(document)?)),
        Content::Text(text) => Some(Body::Text(text)),
        Content::Gzipped(text) => Some(Body::Binary(text.to_vec())),
        Content::NotModified => None,
    };
    Ok(response(reply.status, reply.headers, body))
}

fn failure(error: &ApiError, request_id: &str, form: ErrorForm) -> ApiGatewayV2httpResponse {
    let mut headers = HeaderMap::new();
    if let Some(challenge) = error.challenge() {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(wait) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    let (status, code, message, errors) = (error.status(), error.code(), error.message(), error.faults());
    let body = match form {
        ErrorForm::Envelope => serde_json::to_string(&Failure { status: "error", code, message, request_id, errors }),
        ErrorForm::Problem => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
            let title = status.canonical_reason().unwrap_or_default();
            let (kind, status) = ("about:blank", status.as_u16());
            serde_json::to_string(&Problem { kind, title, status, detail: message, code, request_id, errors })
        }
    };
    // Texts and enums: nothing in there can fail to be written.
    response(status, headers, Some(Body::Text(body.unwrap_or_default())))
}

const PROBLEM_JSON: &str = "application/problem+json";

impl ErrorForm {
    /// A problem for whoever names it in `Accept`.
    fn wanted_by(request: &Request) -> Self {
        if http::takes(request, PROBLEM_JSON) { Self::Problem } else { Self::Envelope }
    }
}

fn response(status: StatusCode, mut headers: HeaderMap, body: Option<Body>) -> ApiGatewayV2httpResponse {
    if body.is_some() {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json; charset=utf-8"));
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = status.as_u16().into();
    response.headers = headers;
    response.is_base64_encoded = matches!(body, Some(Body::Binary(_)));
    response.body = body;
    response
}
