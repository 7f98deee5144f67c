//! Export of the spans by OTLP over HTTP: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
//!
//! It is set up by OpenTelemetry's own variables (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>), of which
//! `OTEL_EXPORTER_OTLP_ENDPOINT` turns it on. Spans are kept until a request is answered and then sent in one go, for
//! between two requests the environment is frozen, with every thread that would send them at leisure.

use std::mem;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{self, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use lambda_http::http::{HeaderMap, Request, Response};
use lambda_http::lambda_runtime::LambdaInvocation;
use lambda_http::tower::{Layer, Service};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracerProvider, Span as SdkSpan, SpanData, SpanExporter as _, SpanProcessor};
use rustls::crypto::ring;
use tokio::time::timeout;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer as _, Registry};

use super::{TARGET, member, root};
use crate::config;
use crate::error::BoxError;
use crate::telemetry;

/// How long a collector may take, connection included. A request's caller has the answer by then, but the environment takes
/// no other one.
const PATIENCE: Duration = Duration::from_millis(200);

/// The spans that have ended, and the way out.
struct Export {
    ended: Arc<Ended>,
    exporter: SpanExporter,
}

static EXPORT: OnceLock<Export> = OnceLock::new();

/// A registry that keeps the spans of this crate for the export, if there is to be one, and what is wrong with its settings.
pub(crate) fn registry() -> (impl Subscriber + for<'a> LookupSpan<'a>, Result<(), BoxError>) {
    let (tracer, outcome) = match start() {
        Ok(provider) => (provider.map(|provider| provider.tracer("keyhold")), Ok(())),
        Err(error) => (None, Err(error)),
    };
    let layer = tracer.map(|tracer| {
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        // Where in the source a span is made says nothing about a request.
        let layer = layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
        layer.with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO))
    });
    (Registry::default().with(layer), outcome)
}

/// Starts the export if the environment says where to; a second time it is left as it is.
fn start() -> Result<Option<SdkTracerProvider>, BoxError> {
    // The exporter reads them by itself; but without one it would try a collector on this machine.
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let Some(endpoint) = endpoints.into_iter().find_map(config::optional) else {
        return Ok(None);
    };
    // One attempt: what waits for the next one is the environment.
    let builder = SpanExporter::builder().with_http().with_retry_policy(RetryPolicy::disabled());
    let builder = if endpoint.starts_with("https:") {
        let tls = hyper_rustls::HttpsConnectorBuilder::new();
        let tls = tls.with_provider_and_native_roots(ring::default_provider())?.https_only().enable_http1().build();
        builder.with_http_client(Http::new(tls))
    } else {
        builder.with_http_client(Http::new(HttpConnector::new()))
    };
    let mut exporter = builder.build()?;
    let resource = resource();
    exporter.set_resource(&resource);
    let ended = Arc::new(Ended::default());
    let provider =
        SdkTracerProvider::builder().with_resource(resource).with_span_processor(Keeper(Arc::clone(&ended))).build();
    let _ = EXPORT.set(Export { ended, exporter });
    Ok(Some(provider))
}

/// What is the same for all spans. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come after it and win.
fn resource() -> Resource {
    let told = [
        ("service.name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("faas.name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("faas.version", "AWS_LAMBDA_FUNCTION_VERSION"),
        ("cloud.region", "AWS_REGION"),
    ];
    let told = told.into_iter().filter_map(|(name, variable)| Some(KeyValue::new(name, config::optional(variable)?)));
    let known = [KeyValue::new("cloud.provider", "aws"), KeyValue::new("cloud.platform", "aws_lambda")];
    let resource = Resource::builder_empty().with_attributes(known.into_iter().chain(told));
    let resource = resource.with_detector(Box::new(TelemetryResourceDetector));
    let resource = resource.with_detector(Box::new(EnvResourceDetector::new()));
    resource
        .with_attributes(config::optional("OTEL_SERVICE_NAME").map(|name| KeyValue::new("service.name", name)))
        .build()
}

/// Makes a request's span a part of the trace that X-Ray has it in, or else the one that `traceparent` names.
pub(super) fn continue_trace(span: &Span, xray: Option<&str>, headers: &HeaderMap) {
    if span.is_disabled() {
        return;
    }
    let parent = match xray.and_then(remote) {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers)),
    };
    // Only fails for a span that has begun or is nobody's.
    let _ = span.set_parent(parent);
}

/// X-Ray's word in OpenTelemetry's terms. Without a parent there is nothing to hang a span on.
fn remote(header: &str) -> Option<SpanContext> {
    let trace = TraceId::from_hex(&root(header)?[2..].replace('-', "")).ok()?;
    let parent = SpanId::from_hex(member(header, "Parent")?).ok()?;
    let sampled = member(header, "Sampled") != Some("0");
    let flags = TraceFlags::default().with_sampled(sampled);
    Some(SpanContext::new(trace, parent, flags, true, TraceState::default())).filter(SpanContext::is_valid)
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

#[derive(Debug, Default)]
struct Ended(Mutex<Vec<SpanData>>);

impl Ended {
    fn push(&self, span: SpanData) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }

    fn take(&self) -> Vec<SpanData> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps what has ended; what is not sampled does not get here.
#[derive(Debug)]
struct Keeper(Arc<Ended>);

impl SpanProcessor for Keeper {
    fn on_start(&self, _: &mut SdkSpan, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends what has ended. It takes no longer than [`PATIENCE`], and what cannot be sent by then is lost.
async fn send() {
    let Some(Export { ended, exporter }) = EXPORT.get() else {
        return;
    };
    let spans = ended.take();
    if spans.is_empty() {
        return;
    }
    match timeout(PATIENCE, exporter.export(spans)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("a trace is lost: {}", telemetry::chain(&error)),
        Err(_) => tracing::warn!("a trace is lost: the collector took longer than {PATIENCE:?}"),
    }
}

/// A layer of Lambda's runtime that sends the spans of a request after the runtime has handed its answer over, and before it
/// asks for the next one, at which the environment may be frozen.
///
/// `lambda_runtime`'s own `OpenTelemetryLayer` does so too, but blocks the only thread, on which the sending would go on.
pub(crate) struct Exporting;

impl<S> Layer<S> for Exporting {
    type Service = ThenSend<S>;

    fn layer(&self, inner: S) -> ThenSend<S> {
        ThenSend(inner)
    }
}

/// The service of [`Exporting`].
#[derive(Clone)]
pub(crate) struct ThenSend<S>(S);

impl<S> Service<LambdaInvocation> for ThenSend<S>
where
    S: Service<LambdaInvocation, Response = (), Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let answered = self.0.call(invocation);
        Box::pin(async move {
            let outcome = answered.await;
            send().await;
            outcome
        })
    }
}

/// hyper, which is there for Lambda's runtime. No connection is kept: a frozen environment wakes with dead ones, and a
/// collector that is an extension is on this machine.
#[derive(Debug)]
struct Http<C>(Client<C, Full<Bytes>>);

/// A collector has little to say.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

impl<C: Connect + Clone + Send + Sync + 'static> Http<C> {
    fn new(connector: C) -> Self {
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
    }
}

#[async_trait]
impl<C: Connect + Clone + std::fmt::Debug + Send + Sync + 'static> HttpClient for Http<C> {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = self.0.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}
