//! Exports spans by OTLP over HTTP: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.
//!
//! OpenTelemetry's own variables configure it (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>);
//! `OTEL_EXPORTER_OTLP_ENDPOINT` turns it on. The spans of a request are sent right after its response. A background
//! thread could not send them later, because Lambda freezes the environment between requests.

use std::mem;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use lambda_http::http::{Request, Response, Uri};
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
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{FilterFn, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer as _, Registry};

use super::SPAN_TARGET;
use super::log::Log;
use super::xray::{member, trace_id};
use crate::env::{self, EnvError};
use crate::report::{self, BoxError};

/// Maximum time to send the spans of a request, connecting included. The caller already has the response, but the
/// environment accepts no other request.
const EXPORT_TIMEOUT: Duration = Duration::from_millis(200);

/// The collected spans and the exporter that sends them.
struct Export {
    ended: Arc<EndedSpans>,
    exporter: SpanExporter,
}

static EXPORT: OnceLock<Export> = OnceLock::new();

/// Installs the log, and the collection of spans if the export is configured.
///
/// # Errors
/// The settings of the export are wrong. The log is installed nevertheless.
pub(super) fn init(log: Log) -> Result<(), BoxError> {
    let (tracer, outcome) = match start() {
        Ok(provider) => (provider.map(|provider| provider.tracer("keyhold")), Ok(())),
        Err(error) => (None, Err(error)),
    };
    let layer = tracer.map(|tracer| {
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        let layer = layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
        layer.with_filter(Targets::new().with_target(SPAN_TARGET, LevelFilter::INFO))
    });
    let logged = FilterFn::new(move |metadata| log.logs(metadata)).with_max_level_hint(log.level);
    // Fails only if a subscriber is installed already.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(layer).with(log.with_filter(logged)));
    outcome
}

/// Starts the export if the environment names an endpoint. Later calls keep the first exporter.
fn start() -> Result<Option<SdkTracerProvider>, BoxError> {
    let Some(endpoint) = endpoint()? else {
        return Ok(None);
    };
    // No retries: they would delay the next request.
    let builder = SpanExporter::builder().with_http().with_retry_policy(RetryPolicy::disabled());
    let builder = if endpoint.starts_with("https:") {
        let tls = hyper_rustls::HttpsConnectorBuilder::new();
        let tls = tls.with_provider_and_native_roots(ring::default_provider())?.https_only().enable_http1().build();
        builder.with_http_client(HyperClient::new(tls))
    } else {
        builder.with_http_client(HyperClient::new(HttpConnector::new()))
    };
    let mut exporter = builder.build()?;
    let resource = resource();
    exporter.set_resource(&resource);
    let ended = Arc::new(EndedSpans::default());
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_span_processor(CollectEnded(Arc::clone(&ended)))
        .build();
    let _ = EXPORT.set(Export { ended, exporter });
    Ok(Some(provider))
}

/// Reads the address of the collector. The exporter reads the variables too, but without them it would connect to a collector on
/// this machine.
///
/// # Errors
/// `Invalid`, if it is not the address of an HTTP server.
pub(super) fn endpoint() -> Result<Option<String>, EnvError> {
    for name in ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
        if let Some(given) = env::optional(name) {
            let scheme = given.parse::<Uri>().ok().and_then(|uri| uri.scheme_str().map(str::to_owned));
            if matches!(scheme.as_deref(), Some("http" | "https")) {
                return Ok(Some(given));
            }
            let expected = "an address such as http://localhost:4318".to_owned();
            return Err(EnvError::Invalid { name, expected, given });
        }
    }
    Ok(None)
}

/// Returns the attributes of all spans. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` override them.
fn resource() -> Resource {
    let variables = [
        ("service.name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("faas.name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("faas.version", "AWS_LAMBDA_FUNCTION_VERSION"),
        ("cloud.region", "AWS_REGION"),
    ];
    let described =
        variables.into_iter().filter_map(|(name, variable)| Some(KeyValue::new(name, env::optional(variable)?)));
    let known = [KeyValue::new("cloud.provider", "aws"), KeyValue::new("cloud.platform", "aws_lambda")];
    let resource = Resource::builder_empty().with_attributes(known.into_iter().chain(described));
    let resource = resource.with_detector(Box::new(TelemetryResourceDetector));
    let resource = resource.with_detector(Box::new(EnvResourceDetector::new()));
    resource.with_attributes(env::optional("OTEL_SERVICE_NAME").map(|name| KeyValue::new("service.name", name))).build()
}

/// Makes a span part of the trace in the X-Ray header, or else of the one in the headers `traceparent` and `tracestate`.
pub(super) fn continue_trace(span: &Span, xray: Option<&str>, trace_context: [Option<&str>; 2]) {
    if span.is_disabled() {
        return;
    }
    let parent = match xray.and_then(xray_parent) {
        Some(parent) => Context::new().with_remote_span_context(parent),
        None => TraceContextPropagator::new().extract_with_context(&Context::new(), &TraceHeaders(trace_context)),
    };
    // Fails only for a span that has started or that the export ignores.
    let _ = span.set_parent(parent);
}

/// Returns the parent span that an X-Ray header names; none if the header has no valid parent.
fn xray_parent(header: &str) -> Option<SpanContext> {
    let trace = TraceId::from_hex(&trace_id(header)?[2..].replace('-', "")).ok()?;
    let parent = SpanId::from_hex(member(header, "Parent")?).ok()?;
    let sampled = member(header, "Sampled") != Some("0");
    let flags = TraceFlags::default().with_sampled(sampled);
    Some(SpanContext::new(trace, parent, flags, true, TraceState::default())).filter(SpanContext::is_valid)
}

/// The headers of W3C Trace Context, for the propagator.
struct TraceHeaders<'a>([Option<&'a str>; 2]);

impl Extractor for TraceHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let [parent, state] = self.0;
        match key {
            "traceparent" => parent,
            "tracestate" => state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// The ended spans that have not been sent.
#[derive(Debug, Default)]
struct EndedSpans(Mutex<Vec<SpanData>>);

impl EndedSpans {
    fn push(&self, span: SpanData) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    }

    fn take(&self) -> Vec<SpanData> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Collects ended spans. Spans that are not sampled do not reach it.
#[derive(Debug)]
struct CollectEnded(Arc<EndedSpans>);

impl SpanProcessor for CollectEnded {
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

/// Sends the collected spans within [`EXPORT_TIMEOUT`], or drops them with a warning.
pub(crate) async fn send() {
    let Some(Export { ended, exporter }) = EXPORT.get() else {
        return;
    };
    let spans = ended.take();
    if spans.is_empty() {
        return;
    }
    match timeout(EXPORT_TIMEOUT, exporter.export(spans)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("spans were dropped: {}", report::chain(&error)),
        Err(_) => tracing::warn!("spans were dropped: the collector took longer than {EXPORT_TIMEOUT:?}"),
    }
}

/// An HTTP client based on hyper, which the Lambda runtime uses too. It does not keep connections: a freeze would break
/// them, and a new one to a collector that runs as an extension is cheap.
#[derive(Debug)]
struct HyperClient<C>(Client<C, Full<Bytes>>);

/// Maximum size of a response, which is usually empty.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

impl<C: Connect + Clone + Send + Sync + 'static> HyperClient<C> {
    fn new(connector: C) -> Self {
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
    }
}

#[async_trait]
impl<C: Connect + Clone + std::fmt::Debug + Send + Sync + 'static> HttpClient for HyperClient<C> {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = self.0.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}
