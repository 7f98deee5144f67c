use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::http::Method;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::headers::Headers;
use super::percent::decode;
use crate::domain::{Device, Network, TrustedProxies, UserAgent};
use crate::error::ApiError;

/// An HTTP request from API Gateway (payload format 2.0), reduced to the parts that handlers use.
///
/// The types of `lambda_http` are not used. They copy all parts of the event, and the conversion into an `http::Request`
/// panics if the body is not the base64 that it claims to be, or if the host, the forwarded scheme, and the query do not
/// form a URI. Clients choose these.
pub struct Request {
    /// The request id of API Gateway. Error responses, the log, and the access log contain it.
    pub id: String,
    /// The method. HEAD is handled like GET, and the response has no body.
    pub(crate) method: Method,
    /// The headers that functions read.
    pub(crate) headers: Headers,
    /// The raw query without `?`.
    pub query: String,
    /// The address of the client that API Gateway saw. A client can forge headers such as `X-Forwarded-For`.
    source_address: Option<String>,
    /// The IAM principal who has signed the request.
    iam: Option<IamPrincipal>,
    pub(super) path_parameters: PathParameters,
    pub(super) body: Vec<u8>,
}

/// An IAM principal, whose signature API Gateway has verified.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IamPrincipal {
    /// The id of the AWS account.
    pub(crate) account_id: String,
    /// The ARN of the user or of the session of a role.
    pub(crate) user_arn: String,
}

/// The values of the parameters in the path of the route.
pub(super) enum PathParameters {
    /// Percent-decoded; from API Gateway.
    Decoded(Members),
    /// The paths of the event do not end with the key, so that it is not certain which value the client means.
    Disputed,
    /// As sent; from `cargo lambda watch`.
    AsSent(Members),
}

/// The error of an event that is not an HTTP request from API Gateway.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    /// The JSON has another structure.
    #[error("the event is not an API Gateway HTTP API request of payload format 2.0")]
    Shape(#[from] serde_json::Error),
    /// The method is not a token (RFC 9110 §9.1).
    #[error("the event has an invalid HTTP method")]
    Method(#[from] lambda_http::http::method::InvalidMethod),
    /// `isBase64Encoded` is true, but the body is not base64.
    #[error("isBase64Encoded is true, but the body is not base64")]
    Body(#[from] base64::DecodeError),
}

/// The route key of all events from `cargo lambda watch`.
const UNROUTED: &str = "$default";

/// The members of an event that are read:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    route_key: Option<Text<'a>>,
    #[serde(borrow)]
    raw_path: Option<Text<'a>>,
    raw_query_string: Option<String>,
    headers: Option<Headers>,
    path_parameters: Option<Members>,
    #[serde(borrow)]
    request_context: RequestContext<'a>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    #[serde(borrow)]
    http: HttpContext<'a>,
    request_id: Option<String>,
    authorizer: Option<AuthorizerContext>,
}

/// Present on routes with the authorizer `AWS_IAM` only.
#[derive(Deserialize)]
struct AuthorizerContext {
    iam: Option<IamPrincipal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    path: Option<Text<'a>>,
    source_ip: Option<String>,
}

/// A text of the event. Without this type, an optional `Cow` would always be copied.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Request {
    /// Reads a request from the payload of an invocation.
    ///
    /// # Errors
    /// The payload is not a request.
    pub fn from_event(payload: &str) -> Result<Self, InvalidEvent> {
        let event: Event<'_> = serde_json::from_str(payload)?;
        let HttpContext { method, path, source_ip } = event.request_context.http;
        let parameters = event.path_parameters.unwrap_or_default();
        let body = event.body.unwrap_or_default();
        Ok(Self {
            method: method.parse()?,
            source_address: source_ip,
            iam: event.request_context.authorizer.and_then(|authorizer| authorizer.iam),
            id: event.request_context.request_id.unwrap_or_default(),
            headers: event.headers.unwrap_or_default(),
            query: event.raw_query_string.unwrap_or_default(),
            path_parameters: if event.route_key.is_some_and(|key| key.0 == UNROUTED) {
                PathParameters::AsSent(parameters)
            } else if [event.raw_path, path].iter().flatten().any(|path| !parameters.end(&path.0)) {
                PathParameters::Disputed
            } else {
                PathParameters::Decoded(parameters)
            },
            body: if event.is_base64_encoded == Some(true) { STANDARD.decode(body)? } else { body.into_bytes() },
        })
    }

    /// Returns the value of a header; none if it is missing or not ASCII text. Of repeated headers, returns the first.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get_all(name).next().flatten()
    }

    /// Returns the IAM principal who has signed the request.
    pub(crate) fn iam_principal(&self) -> Option<&IamPrincipal> {
        self.iam.as_ref()
    }

    /// Returns the network that the request came from, if its address is valid.
    pub(crate) fn network(&self, proxies: &TrustedProxies) -> Option<Network> {
        proxies.client(self.source_address.as_deref()?, self.header("x-forwarded-for"))
    }

    /// Returns the device that sent the request.
    pub(crate) fn device(&self, proxies: &TrustedProxies) -> Device {
        Device { network: self.network(proxies), user_agent: self.header("user-agent").map(UserAgent::from) }
    }

    /// Whether the client has used HTTPS, according to the gateway.
    pub(crate) fn is_https(&self) -> bool {
        self.header("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    }
}

/// Leaves out headers, query, and body, because they may contain tokens, passwords, and values.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("id", &self.id).field("method", &self.method).finish_non_exhaustive()
    }
}

/// The members of a JSON object of strings.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<(String, String)>);

impl Members {
    /// Whether a path ends with the key that it names. Other parameters are ids.
    ///
    /// An HTTP API is reported to cut a path at a decoded `?` in some places and not in others. Then a request for a value would
    /// reach another one. A path may be decoded or as sent.
    fn end(&self, path: &str) -> bool {
        let ends = |path: &str, value: &str| path.strip_suffix(value).is_some_and(|start| start.ends_with('/'));
        self.0
            .iter()
            .filter(|(name, _)| name == "key")
            .all(|(_, value)| ends(path, value) || decode(path).is_ok_and(|path| ends(&path, value)))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members, A::Error> {
                let mut read = Vec::new();
                while let Some(member) = members.next_entry()? {
                    read.push(member);
                }
                Ok(Members(read))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Returns the token of `Authorization: Bearer <token>` (RFC 6750 §2.1). The scheme is case-insensitive.
///
/// # Errors
/// The header is missing, or it has another scheme, several credentials, or a token with invalid characters.
pub(crate) fn bearer_token(request: &Request) -> Result<&str, ApiError> {
    let mut headers = request.headers.get_all("authorization");
    let credentials = headers.next().ok_or(ApiError::MissingToken)?;
    let (scheme, token) =
        credentials.and_then(|text| text.trim().split_once(' ')).ok_or(ApiError::InvalidToken(None))?;
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
