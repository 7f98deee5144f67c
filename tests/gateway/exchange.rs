//! Turns HTTP requests into events and results into HTTP responses, as API Gateway's HTTP APIs do with payload format
//! 2.0: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tiny_http::{Header, Method, Request, Response};

use crate::environments::Environments;
use crate::request::GatewayRequest;
use crate::template::{Match, Template};

/// API Gateway's limit of a request body in bytes.
const MAX_BODY: u64 = 10 * 1024 * 1024;

/// The routes and functions behind the gateway.
pub struct Gateway {
    template: Template,
    environments: Environments,
    requests: AtomicU64,
}

type Answer = Response<std::io::Cursor<Vec<u8>>>;

impl Gateway {
    pub fn new(template: Template, environments: Environments) -> Self {
        Self { template, environments, requests: AtomicU64::new(1) }
    }

    /// Invokes the function of a request's route and sends its response.
    pub fn serve(&self, mut request: Request) {
        let answer = self.answer(&mut request);
        // A client that has disconnected does not matter.
        let _ = request.respond(answer);
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let target = request.url().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        // API Gateway decodes a path before it looks for the route, so that `%2F` in a key separates segments.
        let Ok(path) = percent_decode_str(path).decode_utf8() else { return own(400, "Bad Request") };
        let method = request.method().to_string();
        let Some(found) = self.template.route(&method, &path) else { return own(404, "Not Found") };
        let mut body = Vec::new();
        if request.as_reader().take(MAX_BODY + 1).read_to_end(&mut body).is_err() {
            return own(400, "Bad Request");
        }
        if body.len() as u64 > MAX_BODY {
            return own(413, "Request Entity Too Large");
        }
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let function = found.function;
        let event = gateway_request(request, found, &path, query, &body, id).event();
        let answer = self.environments.invoke(function, &event.to_string());
        match answer.map(|answer| response(&answer, request.method() == &Method::Head)) {
            Ok(Some(response)) => response,
            Ok(None) => own(500, "Internal Server Error"),
            Err(error) => {
                eprintln!("{error}");
                own(503, "Service Unavailable")
            }
        }
    }
}

/// A response of the gateway itself.
fn own(status: u16, message: &str) -> Answer {
    let body = json!({ "message": message }).to_string();
    Response::from_data(body).with_status_code(status).with_header(header("content-type", "application/json"))
}

fn gateway_request(
    request: &Request,
    found: Match<'_>,
    path: &str,
    query: &str,
    body: &[u8],
    id: u64,
) -> GatewayRequest {
    let mut made = GatewayRequest::new(request.method().as_str(), path);
    for header in request.headers() {
        made = made.with_header(header.field.as_str().as_str(), header.value.as_str());
    }
    query.clone_into(&mut made.query);
    made.route_key = found.route_key;
    made.parameter = found.parameter;
    "127.0.0.1".clone_into(&mut made.source_ip);
    made.request_id = format!("local-{id}");
    if !body.is_empty() {
        let text = as_text(made.header("content-type"), body);
        made.is_base64_encoded = text.is_none();
        made = made.with_body(text.unwrap_or_else(|| STANDARD.encode(body)));
    }
    made
}

/// The body as text, if API Gateway passes its media type on as text.
fn as_text(content_type: Option<&str>, body: &[u8]) -> Option<String> {
    let media_type = content_type?.split(';').next()?.trim().to_ascii_lowercase();
    let is_text = media_type.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&media_type.as_str());
    is_text.then(|| String::from_utf8(body.to_vec()).ok()).flatten()
}

/// Turns a function's result into a response. Returns `None` if the result is not a response.
fn response(answer: &str, is_head: bool) -> Option<Answer> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let status = u16::try_from(answer["statusCode"].as_u64()?).ok()?;
    let body = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(body).ok()?,
        _ => body.as_bytes().to_vec(),
    };
    let mut response = Response::from_data(if is_head { Vec::new() } else { body }).with_status_code(status);
    for (name, value) in answer["headers"].as_object()? {
        response.add_header(header(name, value.as_str()?));
    }
    Some(response)
}

fn header(name: &str, value: &str) -> Header {
    // Functions return headers from a header map, so that names and values are valid.
    Header::from_bytes(name, value).unwrap_or_else(|()| panic!("invalid header {name}: {value}"))
}
