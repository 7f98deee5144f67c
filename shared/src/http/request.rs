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
/// `lambda_http` can convert the same event to an `http::Request`, but panics if the body is not the base64 it claims to be
/// or if the host, the forwarded scheme, or the query do not form a URI. Clients choose those, and no input may panic.
pub struct Request {
    /// The request id of API Gateway, which errors, the log, and the access log contain.
    pub id: String,
    /// The method. The response to HEAD is the one to GET without its body.
    pub(crate) method: Method,
    /// The headers. Repeated ones may be joined by commas.
    pub headers: HeaderMap,
    /// The raw query without `?`.
    pub query: String,
    /// The device that sent it.
    pub device: Device,
    pub(super) path_parameters: PathParameters,
    pub(super) body: Vec<u8>,
}

/// The values of `{…}` in the route.
pub(super) enum PathParameters {
    /// Percent-decoded, by API Gateway.
    Decoded(HashMap<String, String>),
    /// As sent, by `cargo lambda watch`.
    AsSent(HashMap<String, String>),
}

/// An event that is not an HTTP request from API Gateway.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    /// Other JSON.
    #[error("the event is not an API Gateway HTTP API request of payload format 2.0")]
    Shape(#[from] serde_json::Error),
    /// `isBase64Encoded` is true, but the body is not base64.
    #[error("isBase64Encoded is true, but the body is not base64")]
    Body(#[from] base64::DecodeError),
}

/// The route key of every event from `cargo lambda watch`.
const UNROUTED: &str = "$default";

impl Request {
    /// Reads an invocation's payload.
    ///
    /// # Errors
    /// The payload is not a request.
    pub fn from_event(payload: &str) -> Result<Self, InvalidEvent> {
        let event: ApiGatewayV2httpRequest = serde_json::from_str(payload)?;
        let parameters = event.path_parameters;
        let body = event.body.unwrap_or_default();
        let user_agent = event.headers.get(USER_AGENT).and_then(|name| name.to_str().ok());
        // The peer of the connection as API Gateway saw it. A client can make up headers such as `X-Forwarded-For`.
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

    /// Returns the text of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Leaves out headers, query, and body: they may contain tokens, passwords, and values.
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
    // The characters of b64token in RFC 6750. A comma is not one of them, so two joined headers are not a token.
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if headers.next().is_some() || token.is_empty() || !token.bytes().all(is_valid) {
        return Err(ApiError::InvalidToken(None));
    }
    Ok(token)
}

/// The raw payload of an invocation, so that a malformed event reaches [`crate::runtime`] instead of failing before.
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
