use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::header::{AUTHORIZATION, USER_AGENT};
use lambda_http::http::{HeaderMap, Method};
use serde::{Deserialize, Deserializer};

use crate::domain::{Device, UserAgent};
use crate::error::ApiError;

/// An HTTP request from API Gateway (payload format 2.0), reduced to the parts that handlers use.
///
/// The conversion of `lambda_http` into an `http::Request` is not used: it panics if the body is not the base64 that it
/// claims to be, or if the host, the forwarded scheme, and the query do not form a URI. Clients choose these.
pub struct Request {
    /// The request id of API Gateway. Error responses, the log, and the access log contain it.
    pub id: String,
    /// The method. HEAD is handled like GET, and the response has no body.
    pub(crate) method: Method,
    /// The headers. Repeated ones may be joined by commas.
    pub headers: HeaderMap,
    /// The raw query without `?`.
    pub query: String,
    /// The device that sent the request.
    pub device: Device,
    pub(super) path_parameters: PathParameters,
    pub(super) body: Vec<u8>,
}

/// The values of the parameters in the path of the route.
pub(super) enum PathParameters {
    /// Percent-decoded; from API Gateway.
    Decoded(HashMap<String, String>),
    /// As sent; from `cargo lambda watch`.
    AsSent(HashMap<String, String>),
}

/// The error of an event that is not an HTTP request from API Gateway.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    /// The JSON has another structure.
    #[error("the event is not an API Gateway HTTP API request of payload format 2.0")]
    Shape(#[from] serde_json::Error),
    /// `isBase64Encoded` is true, but the body is not base64.
    #[error("isBase64Encoded is true, but the body is not base64")]
    Body(#[from] base64::DecodeError),
}

/// The route key of all events from `cargo lambda watch`.
const UNROUTED: &str = "$default";

impl Request {
    /// Reads a request from the payload of an invocation.
    ///
    /// # Errors
    /// The payload is not a request.
    pub fn from_event(payload: &str) -> Result<Self, InvalidEvent> {
        let event: ApiGatewayV2httpRequest = serde_json::from_str(payload)?;
        let parameters = event.path_parameters;
        let body = event.body.unwrap_or_default();
        let user_agent = event.headers.get(USER_AGENT).and_then(|name| name.to_str().ok());
        // The peer address that API Gateway saw. A client can forge headers such as `X-Forwarded-For`.
        let address = event.request_context.http.source_ip;
        let device = Device {
            network: address.and_then(|address| address.parse().ok()),
            user_agent: user_agent.map(UserAgent::from),
        };
        Ok(Self {
            method: event.request_context.http.method,
            device,
            id: event.request_context.request_id.unwrap_or_default(),
            headers: event.headers,
            query: event.raw_query_string.unwrap_or_default(),
            path_parameters: match event.route_key.as_deref() {
                Some(UNROUTED) => PathParameters::AsSent(parameters),
                _ => PathParameters::Decoded(parameters),
            },
            body: if event.is_base64_encoded { STANDARD.decode(body)? } else { body.into_bytes() },
        })
    }

    /// Returns the value of a header; none if it is missing or not ASCII text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Leaves out headers, query, and body, because they may contain tokens, passwords, and values.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("id", &self.id).field("method", &self.method).finish_non_exhaustive()
    }
}

/// Returns the token of `Authorization: Bearer <token>` (RFC 6750 §2.1). The scheme is case-insensitive.
///
/// # Errors
/// The header is missing, or it has another scheme, several credentials, or a token with invalid characters.
pub(crate) fn bearer_token(request: &Request) -> Result<&str, ApiError> {
    let mut headers = request.headers.get_all(AUTHORIZATION).iter();
    let credentials = headers.next().ok_or(ApiError::MissingToken)?;
    let (scheme, token) =
        credentials.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or(ApiError::InvalidToken(None))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::MissingToken);
    }
    let token = token.trim_start();
    // The characters of `b64token` in RFC 6750. A comma is not one of them, so two joined headers are rejected.
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if headers.next().is_some() || token.is_empty() || !token.bytes().all(is_valid) {
        return Err(ApiError::InvalidToken(None));
    }
    Ok(token)
}

/// The raw payload of an invocation. It is parsed by [`Request::from_event`], so that a malformed event gets an error
/// response.
pub(crate) struct Payload(Box<serde_json::value::RawValue>);

impl Payload {
    pub(crate) fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::deserialize(deserializer).map(Self)
    }
}
