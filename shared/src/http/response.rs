//! Responses to the gateway. No other module makes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::http::StatusCode;
use serde::Serialize;

use super::headers::ResponseHeaders;
use super::negotiation::prefers;
use super::reply::ReplyBody;
use super::{Reply, Request};
use crate::domain::Handle;
use crate::error::{ApiError, Code, Fault};

/// A response in the form that the gateway expects (payload format 2.0):
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The HTTP status.
    pub status_code: u16,
    /// The headers.
    pub headers: ResponseHeaders,
    /// The body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether the body is base64.
    pub is_base64_encoded: bool,
    /// Always empty. `cargo lambda watch` requires the member.
    cookies: [(); 0],
}

const PROBLEM_JSON: &str = "application/problem+json";

/// The format of an error response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorForm {
    /// The envelope of the API.
    Envelope,
    /// `application/problem+json` (RFC 9457).
    Problem,
}

impl ErrorForm {
    /// Returns the format that the `Accept` header of the request prefers.
    pub(crate) fn accepted_by(request: &Request) -> Self {
        if prefers(request, "accept", PROBLEM_JSON, &["application/json", "application/*", "*/*"]) {
            Self::Problem
        } else {
            Self::Envelope
        }
    }
}

/// The body of an error in the envelope of the API.
#[derive(Serialize)]
struct ErrorBody<'a> {
    status: &'static str,
    code: Code,
    message: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<Handle>,
}

/// The body of an error by RFC 9457. `type` is `about:blank` because `code` tells the kind of problem.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<Handle>,
}

impl Response {
    /// Removes the body for a HEAD request. `Content-Length` is that of the body (RFC 9110 §8.6), unless a gateway replaces it.
    pub(crate) fn remove_body(&mut self) {
        if let Some(body) = self.body.take() {
            let bytes =
                if self.is_base64_encoded { STANDARD.decode(&body).unwrap_or_default().len() } else { body.len() };
            self.headers.set("content-length", bytes.to_string());
        }
        self.is_base64_encoded = false;
    }

    /// Makes browsers use HTTPS only for two years (RFC 6797). Not for subdomains, which may belong to other services.
    pub(crate) fn require_https(&mut self) {
        self.headers.set("strict-transport-security", "max-age=63072000");
    }
}

/// Makes the response to a successful request.
///
/// # Errors
/// The data of the reply could not be serialized.
pub(crate) fn success(reply: Reply) -> Result<Response, ApiError> {
    let (body, is_base64_encoded) = match reply.body {
        ReplyBody::Text(text) => (Some(text.map_err(ApiError::internal)?), false),
        ReplyBody::Gzipped(text) => (Some(STANDARD.encode(text)), true),
        ReplyBody::NotModified => (None, false),
    };
    Ok(response(reply.status, reply.headers, body, is_base64_encoded))
}

/// Makes the response to a failed request.
pub(crate) fn failure(error: &ApiError, request_id: &str, form: ErrorForm) -> Response {
    let mut headers = ResponseHeaders::default();
    headers.set("vary", "accept");
    if let Some(challenge) = error.challenge() {
        headers.set("www-authenticate", challenge);
    }
    if let Some(wait) = error.retry_after() {
        headers.set("retry-after", wait.as_secs().to_string());
    }
    if let Some(version) = error.version() {
        headers.set("etag", format!("\"{version}\""));
    }
    let (status, code, message) = (error.status(), error.code(), error.message());
    let (errors, handle) = (error.faults(), error.handle());
    let body = match form {
        ErrorForm::Envelope => {
            serde_json::to_string(&ErrorBody { status: "error", code, message, request_id, errors, handle })
        }
        ErrorForm::Problem => {
            headers.set("content-type", PROBLEM_JSON);
            let title = status.canonical_reason().unwrap_or_default();
            let (kind, status) = ("about:blank", status.as_u16());
            serde_json::to_string(&Problem { kind, title, status, detail: message, code, request_id, errors, handle })
        }
    };
    // The serialization of strings, numbers, and enums cannot fail.
    response(status, headers, Some(body.unwrap_or_default()), false)
}

/// Makes a response with the headers that all responses have.
fn response(
    status: StatusCode,
    mut headers: ResponseHeaders,
    body: Option<String>,
    is_base64_encoded: bool,
) -> Response {
    if body.is_some() {
        headers.set_default("content-type", "application/json; charset=utf-8");
    }
    headers.set("x-content-type-options", "nosniff");
    // For a browser that shows JSON as a document (OWASP REST Security Cheat Sheet).
    headers.set_default("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
    headers.set_default("cache-control", "no-store");
    Response { status_code: status.as_u16(), headers, body, is_base64_encoded, cookies: [] }
}
