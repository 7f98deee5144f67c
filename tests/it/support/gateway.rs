//! API Gateway's part of a request: it finds the route of a path and turns the request into an event of payload format
//! 2.0. <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
//!
//! `tests/gateway` includes this file by its path. An example cannot import from a test, and the library of the package
//! `tests`, which `cargo dev` compiles first, does without `serde_json`.

use serde_json::{Map, Value, json};

/// A path parameter: its name and its value.
pub type Parameter = (String, String);

/// Finds the route that API Gateway chooses, and the path parameter if it has one. A literal path comes before one with
/// a parameter, and `{id}` before `{key+}`. `describe` returns the method and the path of a route.
///
/// Unlike API Gateway it accepts an empty parameter, so that tests can send one to a function.
pub fn find_route<R>(
    routes: impl IntoIterator<Item = R>,
    describe: impl for<'a> Fn(&'a R) -> (&'a str, &'a str),
    method: &str,
    path: &str,
) -> Option<(R, Option<Parameter>)> {
    let matches = routes.into_iter().filter_map(|route| {
        let (route_method, route_path) = describe(&route);
        let (rank, parameter) = if route_method == method { match_path(route_path, path)? } else { return None };
        Some((rank, route, parameter))
    });
    matches.min_by_key(|(rank, ..)| *rank).map(|(_, route, parameter)| (route, parameter))
}

/// The rank of a match, the best first, and the path parameter.
fn match_path(route: &str, path: &str) -> Option<(u8, Option<Parameter>)> {
    let Some((prefix, parameter)) = route.split_once('{') else {
        return (route == path).then_some((0, None));
    };
    let (name, suffix) = parameter.split_once('}')?;
    let value = path.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let (rank, name) = match name.strip_suffix('+') {
        Some(name) => (2, name),
        None if value.contains('/') => return None,
        None => (1, name),
    };
    Some((rank, Some((name.to_owned(), value.to_owned()))))
}

/// A request that a gateway has received.
#[derive(Clone, Debug)]
pub struct GatewayRequest {
    pub method: String,
    pub path: String,
    pub query: String,
    /// `METHOD /path`, with the parameter in braces.
    pub route_key: String,
    pub parameter: Option<Parameter>,
    pub body: Option<String>,
    pub is_base64_encoded: bool,
    pub source_ip: String,
    pub request_id: String,
    headers: Map<String, Value>,
}

impl GatewayRequest {
    /// A request without query, headers and body, on a route that has the same path.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            route_key: format!("{method} {path}"),
            parameter: None,
            body: None,
            is_base64_encoded: false,
            source_ip: "203.0.113.1".to_owned(),
            request_id: "request-1".to_owned(),
            headers: Map::new(),
        }
    }

    /// Adds a header. API Gateway joins headers of the same name.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let joined = match self.header(&name) {
            Some(given) => format!("{given},{value}"),
            None => value.to_owned(),
        };
        self.headers.insert(name, Value::from(joined));
        self
    }

    /// Sets the body.
    pub fn with_body(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(Value::as_str)
    }

    /// The event.
    pub fn event(&self) -> Value {
        let mut event = json!({
            "version": "2.0",
            "routeKey": self.route_key,
            "rawPath": self.path,
            "rawQueryString": self.query,
            "headers": self.headers,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "local",
                "domainName": "localhost",
                "http": {
                    "method": self.method,
                    "path": self.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": self.source_ip,
                    "userAgent": self.header("user-agent"),
                },
                "requestId": self.request_id,
                "routeKey": self.route_key,
                "stage": "$default",
            },
            "isBase64Encoded": self.is_base64_encoded,
        });
        if let Some((name, value)) = &self.parameter {
            event["pathParameters"] = json!({ name: value });
        }
        if let Some(body) = &self.body {
            event["body"] = Value::from(body.as_str());
        }
        event
    }
}
