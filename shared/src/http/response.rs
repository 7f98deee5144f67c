//! Responses to the gateway. No other module makes them.

use lambda_http::Body;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use lambda_http::http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::reply::ReplyBody;
use super::{Reply, Request, accepts};
use crate::error::{ApiError, Code, Fault};

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
    /// Returns the format that the `Accept` header of the request names.
    pub(crate) fn accepted_by(request: &Request) -> Self {
        if accepts(request, PROBLEM_JSON) { Self::Problem } else { Self::Envelope }
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
}

/// Makes the response to a successful request.
///
/// # Errors
/// The data of the reply could not be serialized.
pub(crate) fn success(reply: Reply) -> Result<ApiGatewayV2httpResponse, ApiError> {
    let body = match reply.body {
        ReplyBody::Envelope { message, data } => Some(Body::Text(envelope(message, data)?)),
        ReplyBody::Document(document) => Some(Body::Text(document.map_err(ApiError::internal)?)),
        ReplyBody::Text(text) => Some(Body::Text(text)),
        ReplyBody::Gzipped(text) => Some(Body::Binary(text.to_vec())),
        ReplyBody::NotModified => None,
    };
    Ok(response(reply.status, reply.headers, body))
}

/// Makes the response to a failed request.
pub(crate) fn failure(error: &ApiError, request_id: &str, form: ErrorForm) -> ApiGatewayV2httpResponse {
    let mut headers = HeaderMap::new();
    if let Some(challenge) = error.challenge() {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(wait) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    let (status, code, message, errors) = (error.status(), error.code(), error.message(), error.faults());
    let body = match form {
        ErrorForm::Envelope => serde_json::to_string(&ErrorBody { status: "error", code, message, request_id, errors }),
        ErrorForm::Problem => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
            let title = status.canonical_reason().unwrap_or_default();
            let (kind, status) = ("about:blank", status.as_u16());
            serde_json::to_string(&Problem { kind, title, status, detail: message, code, request_id, errors })
        }
    };
    // The serialization of strings, numbers, and enums cannot fail.
    response(status, headers, Some(Body::Text(body.unwrap_or_default())))
}

/// Makes the envelope of a success. `data` is inserted as text: parsing it again could take longer than the rest of the
/// request.
fn envelope(
    message: Option<&'static str>,
    data: Option<Result<String, serde_json::Error>>,
) -> Result<String, ApiError> {
    let mut body = String::from(r#"{"status":"success""#);
    if let Some(message) = message {
        body.extend([r#","message":"#, &Value::from(message).to_string()]);
    }
    if let Some(data) = data {
        body.extend([r#","data":"#, &data.map_err(ApiError::internal)?]);
    }
    body.push('}');
    Ok(body)
}

/// Makes a response with the headers that all responses have.
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
