use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use shared::http::Route;

use super::endpoints::endpoints;
use super::gateway::{GatewayRequest, find_route};
use super::response::Response;
use super::service::Service;

/// The gateway in front of the functions. Gateways differ in path parameters and route keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// Path parameters are decoded, and the route key names the route.
    ApiGateway,
    /// Path parameters are not decoded, and the route key is always `$default`.
    CargoLambda,
}

/// A client of the service, signed in or anonymous.
#[derive(Clone)]
pub struct Client {
    service: Arc<Service>,
    gateway: Gateway,
    headers: Vec<(String, String)>,
    address: String,
}

/// The fields of a registration, which a test can change or remove.
#[derive(Clone, Debug)]
pub struct Registration(Value);

/// A valid registration.
pub fn registration(username: &str) -> Registration {
    Registration(json!({
        "username": username,
        "email": format!("{username}@example.com"),
        "password": password(),
        "full_name": "Ada Lovelace",
        "age": 36,
        "gender": "female",
    }))
}

/// The default password of accounts.
pub fn password() -> &'static str {
    "correct horse battery"
}

/// Sends `count` requests at once. Counts them by outcome.
pub async fn race<F>(count: usize, request: impl Fn(usize) -> F) -> BTreeMap<String, usize>
where
    F: Future<Output = Response> + Send + 'static,
{
    let racers: Vec<_> = (0..count).map(|index| tokio::spawn(request(index))).collect();
    let mut outcomes = BTreeMap::new();
    for racer in racers {
        *outcomes.entry(racer.await.expect("no racer panics").outcome()).or_default() += 1;
    }
    outcomes
}

impl Registration {
    /// Replaces the value of a field.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0[field] = value.into();
        self
    }

    /// Removes a field.
    pub fn without(mut self, field: &str) -> Self {
        self.0.as_object_mut().expect("an object").remove(field);
        self
    }

    /// The body of the request.
    pub fn body(&self) -> String {
        self.0.to_string()
    }
}

impl Client {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self { service, gateway: Gateway::ApiGateway, headers: Vec::new(), address: "203.0.113.1".to_owned() }
    }

    /// The same client behind another gateway.
    pub fn behind(mut self, gateway: Gateway) -> Self {
        self.gateway = gateway;
        self
    }

    /// The same client, at another address.
    pub fn at(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    /// The same client with a header on each request. Replaces a header of the same name.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(given, _)| given != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same client with an access token.
    pub fn with_token(self, token: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {token}"))
    }

    /// The access token of the client.
    pub fn token(&self) -> String {
        let header = self.headers.iter().find(|(name, _)| name == "authorization");
        let token = header.and_then(|(_, value)| value.strip_prefix("Bearer "));
        token.expect("a client that signed in").to_owned()
    }

    /// Registers `username` and signs in.
    pub async fn sign_up(self, username: &str) -> Self {
        let registered = self.post("/api/register", &registration(username).body()).await;
        assert_eq!(registered.status, 201, "{}", registered.body);
        self.sign_in(username).await
    }

    /// Signs in.
    pub async fn sign_in(self, username: &str) -> Self {
        let response = self.token_for(username, password()).await;
        assert_eq!(response.status, 200, "{}", response.body);
        self.with_token(&response.text("access_token"))
    }

    /// Requests tokens.
    pub async fn token_for(&self, username: &str, password: &str) -> Response {
        self.post("/api/token", &json!({ "username": username, "password": password }).to_string()).await
    }

    /// Exchanges a refresh token.
    pub async fn refresh(&self, refresh_token: &str) -> Response {
        self.post("/api/token/refresh", &json!({ "refresh_token": refresh_token }).to_string()).await
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send("GET", path, None).await
    }

    pub async fn head(&self, path: &str) -> Response {
        self.send("HEAD", path, None).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Response {
        self.send("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &str) -> Response {
        self.send("PUT", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &str) -> Response {
        self.send("PATCH", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, None).await
    }

    /// Sends a DELETE request with a body.
    pub async fn delete_with(&self, path: &str, body: &str) -> Response {
        self.send("DELETE", path, Some(body)).await
    }

    /// Stores a value under a new key.
    pub async fn store(&self, key: &str, value: Value) -> Response {
        self.post("/api/data", &json!({ "key": key, "value": value }).to_string()).await
    }

    async fn send(&self, method: &str, path: &str, body: Option<&str>) -> Response {
        let (route, request) = self.request(method, path, body);
        self.service.invoke(&route, &request.event().to_string()).await
    }

    /// Sends a request whose event the gateway has altered.
    pub async fn send_altered(&self, method: &str, path: &str, alter: impl FnOnce(&mut Value)) -> Response {
        let (route, request) = self.request(method, path, None);
        let mut event = request.event();
        alter(&mut event);
        self.service.invoke(&route, &event.to_string()).await
    }

    /// Sends a body that the event carries as base64, as gateways do with binary bodies.
    pub async fn post_base64(&self, path: &str, base64: &str) -> Response {
        let (route, mut request) = self.request("POST", path, Some(base64));
        request.is_base64_encoded = true;
        self.service.invoke(&route, &request.event().to_string()).await
    }

    /// The route and the request that the gateway passes on.
    fn request(&self, method: &str, target: &str, body: Option<&str>) -> (Route, GatewayRequest) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // Functions declare GET, and a gateway adds HEAD.
        let declared = if method == "HEAD" { "GET" } else { method };
        let found = find_route(endpoints(), |(_, route)| (route.method.as_str(), route.path), declared, path);
        let ((_, route), parameter) = found.unwrap_or_else(|| panic!("no route for {method} {path}"));
        let mut request = GatewayRequest::new(method, path);
        for (name, value) in &self.headers {
            request = request.with_header(name, value);
        }
        query.clone_into(&mut request.query);
        (request.route_key, request.parameter) = match self.gateway {
            Gateway::ApiGateway => {
                let decode = |value: String| percent_decode_str(&value).decode_utf8_lossy().into_owned();
                (format!("{method} {}", route.path), parameter.map(|(name, value)| (name, decode(value))))
            }
            Gateway::CargoLambda => ("$default".to_owned(), parameter),
        };
        request.body = body.map(str::to_owned);
        self.address.clone_into(&mut request.source_ip);
        (route, request)
    }
}
