//! Tests of a user's usual requests over HTTP, through `cargo lambda watch` as `cargo dev` runs it.

use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use crate::support::{Outcome, password, registration, served};

/// An HTTP client, which may send an access token.
#[derive(Clone)]
struct Http {
    base_url: String,
    token: Option<String>,
}

struct Response {
    status: u16,
    etag: Option<String>,
    body: Value,
}

impl Http {
    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Response, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base_url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.run(request.body(body.unwrap_or_default())?)?;
        let text = response.body_mut().read_to_string()?;
        Ok(Response {
            status: response.status().as_u16(),
            etag: response.headers().get("etag").and_then(|etag| etag.to_str().ok()).map(str::to_owned),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
        })
    }
}

#[test]
fn a_user_registers_signs_in_and_creates_reads_changes_and_deletes_a_value() -> Outcome {
    let service = served(false)?;
    let mut http = Http { base_url: service.base_url(), token: None };
    let answer = http.send("POST", "/api/register", &[], Some(&registration("ada").body()))?;
    assert_eq!((answer.status, &answer.body["data"]["username"]), (201, &json!("ada")));
    let sign_in = json!({ "username": "ada", "password": password() }).to_string();
    let answer = http.send("POST", "/api/token", &[], Some(&sign_in))?;
    assert_eq!(answer.status, 200);
    http.token = answer.body["data"]["access_token"].as_str().map(str::to_owned);

    for path in ["/api/data/settings%2Fdark%20mode", "/api/data/settings/dark%20mode"] {
        let create = json!({ "key": "settings/dark mode", "value": { "on": true } }).to_string();
        let answer = http.send("POST", "/api/data", &[], Some(&create))?;
        assert_eq!(answer.status, 201);
        let answer = http.send("GET", path, &[], None)?;
        assert_eq!((answer.status, &answer.body["data"]["value"]), (200, &json!({ "on": true })));
        let etag = answer.etag.ok_or("no etag")?;
        assert_eq!(http.send("GET", path, &[("if-none-match", &etag)], None)?.status, 304);
        let answer = http.send("PUT", path, &[("if-match", &etag)], Some(r#"{"value":{"on":false}}"#))?;
        assert_eq!((answer.status, &answer.body["data"]["value"]), (200, &json!({ "on": false })));
        assert_eq!(http.send("PUT", path, &[("if-match", &etag)], Some(r#"{"value":0}"#))?.status, 412);
        assert_eq!(http.send("PUT", &format!("{path}?upsert=true"), &[], Some(r#"{"value":0}"#))?.status, 200);
        assert_eq!(http.send("DELETE", path, &[], None)?.status, 200);
        assert_eq!(http.send("GET", path, &[], None)?.body["code"], "KEY_NOT_FOUND");
    }

    http.token = None;
    assert_eq!(http.send("GET", "/api/data/key", &[], None)?.body["code"], "INVALID_TOKEN");

    let http = Arc::new(Http { token: Some("x".to_owned()), ..http });
    let requests: Vec<_> = (0..12)
        .map(|_| {
            let http = Arc::clone(&http);
            thread::spawn(move || http.send("GET", "/api/data/key", &[], None).map(|answer| answer.status))
        })
        .collect();
    for request in requests {
        assert_eq!(
            request.join().map_err(|_| "a request panicked")??,
            401,
            "concurrent requests to one function must be handled"
        );
    }
    Ok(())
}

#[test]
fn cors_headers_are_sent_only_with_the_cors_option() -> Outcome {
    for cors in [false, true] {
        let service = served(cors)?;
        let mut request = ureq::get(format!("{}/api/health", service.base_url()));
        request = request.header("origin", "https://app.example.com");
        let allowed = request.call()?.headers().get("access-control-allow-origin").cloned();
        assert_eq!(allowed.is_some_and(|origin| origin == "https://app.example.com"), cors);
    }
    Ok(())
}
