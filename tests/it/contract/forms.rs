//! Tests of problem details (RFC 9457), and of HEAD requests.

use serde_json::{Value, json};

use crate::support::{Outcome, Response, endpoints, in_process};

#[tokio::test]
async fn a_client_that_accepts_problem_details_gets_errors_as_problem_details() {
    let service = in_process();
    let client = service.anonymous().with_header("accept", "application/problem+json");
    let missing = client.get("/api/data/key").await;
    assert_eq!(missing.header("content-type"), Some("application/problem+json"));
    assert_eq!(missing.header("www-authenticate"), Some("Bearer"));
    let expected = json!({
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Send an access token in the header `Authorization: Bearer <token>`.",
        "code": "INVALID_TOKEN",
        "request_id": "request-1",
    });
    assert_eq!(missing.json(), expected);
    let invalid = client.post("/api/token", r#"{"username":1}"#).await.json();
    assert_eq!((&invalid["status"], &invalid["code"]), (&json!(400), &json!("INVALID_REQUEST")));
    assert_eq!(invalid["errors"].as_array().map(Vec::len), Some(2));
    let success = client.get("/api/health").await;
    assert_eq!(
        success.header("content-type"),
        Some("application/json; charset=utf-8"),
        "a successful response must not be a problem document"
    );
}

#[tokio::test]
async fn problem_details_are_sent_only_if_the_accept_header_names_them() {
    let service = in_process();
    for (accept, problem) in [
        ("application/problem+json, application/json", true),
        ("application/json;q=0.1, Application/Problem+JSON; q=0.5", true),
        ("application/problem+json;q=0.5, */*;q=0.5", true),
        ("application/json;q=0.9, application/problem+json;q=0.9, */*", true),
        ("application/json;q=1, application/problem+json;q=0.1", false),
        ("application/problem+json;q=0.5, */*", false),
        ("application/problem+json;q=0.5, application/*;q=0.6, */*;q=0.1", false),
        ("application/problem+json;q=0", false),
        ("application/problem+json; q=0.000, */*", false),
        ("application/json", false),
        ("*/*", false),
        ("", false),
        ("application/problem+jsonx", false),
        (";;,=;q=,", false),
    ] {
        let response = service.anonymous().with_header("accept", accept).get("/api/account").await;
        assert_eq!(response.json()["type"].is_string(), problem, "{accept}");
    }
}

#[tokio::test]
async fn every_get_route_supports_head_with_the_same_headers_and_without_a_body() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", Value::Null).await;
    for (_, route) in endpoints().into_iter().filter(|(_, route)| route.method == "GET") {
        let path = route.path.replace("{key+}", "key");
        for client in [&ada, &service.anonymous()] {
            let (get, mut head) = (client.get(&path).await, client.head(&path).await);
            assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{route}");
            let length = head.headers.remove("content-length").expect("the length of the body for GET");
            assert_eq!(length.to_str()?.parse(), Ok(get.body.len()), "{route}");
            assert_eq!(head.headers, get.headers, "{route}");
        }
    }
    let gzip = service.anonymous().with_header("accept-encoding", "gzip").head("/api/docs").await;
    let plain = service.anonymous().with_header("accept-encoding", "gzip;q=0.5, identity").head("/api/docs").await;
    let length =
        |response: &Response| response.header("content-length").and_then(|length| length.parse::<usize>().ok());
    assert!(length(&gzip) < length(&plain), "the length of what GET sends");
    Ok(())
}
