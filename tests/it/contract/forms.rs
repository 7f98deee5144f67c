//! The forms that an answer can take: RFC 9457 problems, and HEAD.

use serde_json::{Value, json};

use crate::support::{endpoints, in_process};

#[tokio::test]
async fn whoever_accepts_problems_gets_errors_as_problems() {
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
    let faults = client.post("/api/token", r#"{"username":1}"#).await.json();
    assert_eq!((&faults["status"], &faults["code"]), (&json!(400), &json!("INVALID_REQUEST")));
    assert_eq!(faults["errors"].as_array().map(Vec::len), Some(2));
    let success = client.get("/api/health").await;
    assert_eq!(success.header("content-type"), Some("application/json; charset=utf-8"), "a success is no problem");
}

#[tokio::test]
async fn problems_are_for_those_who_name_them() {
    let service = in_process();
    for (accept, problem) in [
        ("application/problem+json, application/json", true),
        ("application/json;q=0.5, Application/Problem+JSON; q=0.1", true),
        ("application/problem+json;q=0", false),
        ("application/problem+json; q=0.000, */*", false),
        ("application/json", false),
        ("*/*", false),
        ("", false),
        ("application/problem+jsonx", false),
        (";;,=;q=,", false),
    ] {
        let answer = service.anonymous().with_header("accept", accept).get("/api/account").await;
        assert_eq!(answer.json()["type"].is_string(), problem, "{accept}");
    }
}

#[tokio::test]
async fn head_answers_as_get_does_without_the_body() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", Value::Null).await;
    for (_, route) in endpoints().into_iter().filter(|(_, route)| route.method == "GET") {
        let path = route.path.replace("{key+}", "key");
        for client in [&ada, &service.anonymous()] {
            let (get, head) = (client.get(&path).await, client.head(&path).await);
            assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{route}");
            assert_eq!(head.headers, get.headers, "{route}");
        }
    }
}
