use serde_json::{Value, json};

/// What API Gateway makes of a request on a route without path parameters.
pub fn event(route: &str, headers: Value, body: &str) -> Value {
    let (method, path) = route.split_once(' ').expect("a method and a path");
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "routeKey": route,
            "stage": "$default",
            "requestId": "request-1",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.1" },
        },
        "body": body,
        "isBase64Encoded": false,
    })
}
