//! A collector of traces that receives OTLP over HTTP in protobuf.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tiny_http::{Request, Response};

use crate::support::http_server::HttpServer;

/// A running collector. Dropping it stops it.
pub struct Collector {
    server: HttpServer,
    exports: Arc<Mutex<Vec<Export>>>,
    unanswered: Arc<Mutex<Vec<Request>>>,
}

/// An export request.
#[derive(Clone)]
pub struct Export {
    pub request_line: String,
    /// The header `authorization`.
    pub authorization: Option<String>,
    /// The encoded message.
    pub bytes: Vec<u8>,
}

/// A received span. Ids are in hexadecimal.
#[derive(Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub kind: i32,
    pub status: i32,
    pub start: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, String>,
    pub resource: BTreeMap<String, String>,
}

impl Collector {
    /// Starts a collector that accepts every export.
    pub fn start() -> io::Result<Self> {
        Self::start_as(true)
    }

    /// Starts a collector that never responds.
    pub fn hanging() -> io::Result<Self> {
        Self::start_as(false)
    }

    fn start_as(responds: bool) -> io::Result<Self> {
        let (exports, unanswered) = (Arc::<Mutex<Vec<Export>>>::default(), Arc::<Mutex<Vec<Request>>>::default());
        let server = HttpServer::start(1, {
            let (exports, unanswered) = (Arc::clone(&exports), Arc::clone(&unanswered));
            move |mut request| {
                if responds {
                    lock(&exports).push(Export::read(&mut request).expect("a complete request"));
                    request.respond(Response::empty(200)).expect("a client that waits for the response");
                } else {
                    lock(&unanswered).push(request);
                }
            }
        })?;
        Ok(Self { server, exports, unanswered })
    }

    /// The value of `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// The number of requests without a response.
    pub fn unanswered(&self) -> usize {
        lock(&self.unanswered).len()
    }

    /// Removes and returns the exports received so far.
    pub fn take_exports(&self) -> Vec<Export> {
        std::mem::take(&mut lock(&self.exports))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Export {
    fn read(request: &mut Request) -> io::Result<Self> {
        let request_line = format!("{} {} HTTP/{}", request.method(), request.url(), request.http_version());
        let authorization = request.headers().iter().find(|header| header.field.equiv("authorization"));
        let authorization = authorization.map(|header| header.value.to_string());
        let mut bytes = Vec::new();
        request.as_reader().read_to_end(&mut bytes)?;
        Ok(Self { request_line, authorization, bytes })
    }

    /// Decodes the spans.
    pub fn spans(&self) -> Vec<Span> {
        let message = ExportTraceServiceRequest::decode(self.bytes.as_slice()).expect("a message of OTLP");
        let mut spans = Vec::new();
        for resource_spans in message.resource_spans {
            let resource = attributes(resource_spans.resource.unwrap_or_default().attributes);
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(Span {
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    name: span.name,
                    kind: span.kind,
                    status: span.status.unwrap_or_default().code,
                    start: span.start_time_unix_nano,
                    end: span.end_time_unix_nano,
                    attributes: attributes(span.attributes),
                    resource: resource.clone(),
                });
            }
        }
        spans
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |pair: KeyValue| match pair.value.and_then(|any| any.value) {
        Some(Value::StringValue(text)) => (pair.key, text),
        Some(Value::BoolValue(flag)) => (pair.key, flag.to_string()),
        Some(Value::IntValue(number)) => (pair.key, number.to_string()),
        other => (pair.key, format!("{other:?}")),
    };
    pairs.into_iter().map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
