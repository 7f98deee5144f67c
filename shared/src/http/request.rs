use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::header::{AUTHORIZATION, USER_AGENT};
use lambda_http::http::{HeaderMap, Method};
use serde::{Deserialize, Deserializer};

use crate::domain::{Device, UserAgent};
use crate::error::ApiError;

/// An HTTP request as API Gateway hands it over (payload format 2.0), reduced to what handlers look at.
///
/// `lambda_http` can turn the same event into an `http::Request`, but panics on the way when the body is no base64, or the
/// host, the forwarded scheme or the query make no URI. Clients choose those, and nothing a client sends may panic here.
#[derive(Debug)]
pub struct Request {
    /// The id that errors and the log carry: API Gateway's, which its access log has too.
    pub id: String,
    /// The method; HEAD asks for what GET would answer, but the body.
    pub(crate) method: Method,
    /// Headers; what came several times under a name may be joined by commas.
    pub headers: HeaderMap,
    /// The query as it was sent, without `?`.
    pub query: String,
    /// Where it comes from.
    pub device: Device,
    pub(super) path_parameters: PathParameters,
    pub(super) body: Vec<u8>,
}

/// The values of `{…}` in the route.
#[derive(Debug)]
pub(super) enum PathParameters {
    /// API Gateway has undone the percent-encoding.
    Decoded(HashMap<String, String>),
    /// `cargo lambda watch` passes on what was sent.
    AsSent(HashMap<String, String>),
}

/// An event that is no HTTP request of API Gateway's.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    /// Some other JSON.
    #[error("the event is not an API Gateway HTTP API request of payload format 2.0")]
    Shape(#[from] serde_json::Error),
    /// `isBase64Encoded` is true, but the body is not.
    #[error("the event's body is not the base64 that it says it is")]
    Body(#[from] base64::DecodeError),
}

/// What cargo-lambda calls every route.
const UNROUTED: &str = "$default";

impl Request {
    /// Reads an invocation's payload.
    ///
    /// # Errors
    /// The payload is something else than a request.
    pub fn from_event(payload: &str) -> Result<Self, InvalidEvent> {
        let event: ApiGatewayV2httpRequest = serde_json::from_str(payload)?;
        let parameters = event.path_parameters;
        let body = event.body.unwrap_or_default();
        let user_agent = event.headers.get(USER_AGENT).and_then(|name| name.to_str().ok());
        // The connection's other end, as API Gateway saw it. What a header says about it, a client can make up.
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

    /// A header's text, if the header is there once and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The token of `Authorization: Bearer <token>` (RFC 6750 §2.1), the scheme in any case.
///
/// # Errors
/// There is no such header, or it has another scheme, several credentials, or a token with impossible characters.
pub(crate) fn bearer_token(request: &Request) -> Result<&str, ApiError> {
    let mut headers = request.headers.get_all(AUTHORIZATION).iter();
    let credentials = headers.next().ok_or(ApiError::MissingToken)?;
    let (scheme, token) =
        credentials.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or(ApiError::InvalidToken(None))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::MissingToken);
    }
    let token = token.trim_start();
    // RFC 6750's b64token. It has no comma, so that two headers that were joined into one are no token.
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if headers.next().is_some() || token.is_empty() || !token.bytes().all(possible) {
        return Err(ApiError::InvalidToken(None));
    }
    Ok(token)
}

/// The payload of an invocation, read as late as possible so that no event can fail before [`crate::runtime`] sees it.
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
