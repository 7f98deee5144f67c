//! Whatever a client sends gets a 4xx with a code: never a 5xx, never a dead process.

use std::sync::Arc;

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Client, Service, in_process, registration};

async fn signed_in() -> (Arc<Service>, Client) {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    (service, ada)
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let (_service, ada) = signed_in().await;
    expect![[r#"
        400
        {
          "code": "INVALID_REQUEST",
          "errors": [
            {
              "code": "INVALID_REQUEST",
              "field": "body",
              "message": "the body must be a JSON object: EOF while parsing a value at line 1 column 7"
            }
          ],
          "message": "the body must be a JSON object: EOF while parsing a value at line 1 column 7",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&ada.post("/api/data", "{\"key\":").await.to_string());
    for body in [
        "",
        " ",
        "null",
        "true",
        "1",
        "\"text\"",
        "[]",
        "[{}]",
        "{",
        "}",
        "{]",
        "{\"key\"}",
        "{\"key\":}",
        "{\"key\":1,}",
        "{'key':1}",
        "{key:1}",
        "\u{feff}{}",
        "{}{}",
        "{} x",
        "nan",
        "{\"key\":01}",
        "{\"key\":\"\t\"}",
        "{\"key\":\"\\x\"}",
        "{\"key\":\"a\",\"key\":\"b\",\"value\":1}",
        "{\"key\":\"a\",\"k\\u0065y\":\"b\",\"value\":1}",
    ] {
        for (path, client) in [("/api/register", &ada), ("/api/token", &ada), ("/api/data", &ada)] {
            assert_eq!(client.post(path, body).await.outcome(), "400 INVALID_REQUEST", "{path} {body:?}");
        }
        assert_eq!(ada.put("/api/data/key", body).await.outcome(), "400 INVALID_REQUEST", "{body:?}");
    }
}

#[tokio::test]
async fn huge_and_deep_bodies_are_refused() {
    let (_service, ada) = signed_in().await;
    let deep = |depth: usize| format!("{{\"key\":\"deep\",\"value\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let long = |bytes: usize| json!({ "key": "long", "value": "x".repeat(bytes - 2) }).to_string();
    let many: Value =
        (0..200).map(|index| (format!("member{index}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
    for (what, body, expected) in [
        ("deepest", deep(128), "201"),
        ("too deep", deep(129), "400 INVALID_VALUE"),
        ("absurdly deep", deep(100_000), "400 INVALID_VALUE"),
        ("longest", long(256 * 1024), "201"),
        ("too long", long(256 * 1024 + 1), "413 PAYLOAD_TOO_LARGE"),
        ("absurdly long", long(5 * 1024 * 1024), "413 PAYLOAD_TOO_LARGE"),
        ("many members", many.to_string(), "400 INVALID_REQUEST"),
        ("spaces", " ".repeat(1024 * 1024), "413 PAYLOAD_TOO_LARGE"),
    ] {
        assert_eq!(ada.post("/api/data", &body).await.outcome(), expected, "{what}");
    }
    let huge_name = json!({ "username": "x".repeat(300_000), "password": "x".repeat(100_000) }).to_string();
    assert_eq!(ada.post("/api/token", &huge_name).await.outcome(), "401 INVALID_CREDENTIALS");
}

#[tokio::test]
async fn texts_that_no_database_takes_are_refused_by_name() {
    let (_service, ada) = signed_in().await;
    for (body, expected) in [
        (r#"{"key":"a\u0000b","value":1}"#, "400 INVALID_KEY"),
        (r#"{"key":"\ud800","value":1}"#, "400 INVALID_REQUEST"),
        (r#"{"key":"\udc00\ud800","value":1}"#, "400 INVALID_REQUEST"),
        (r#"{"\ud800":"key","value":1}"#, "400 INVALID_REQUEST"),
    ] {
        assert_eq!(ada.post("/api/data", body).await.outcome(), expected, "{body}");
    }
    let register = |field: &str, json: &str| {
        let body = registration("bob").with(field, "PLACEHOLDER").body();
        body.replace("\"PLACEHOLDER\"", json)
    };
    for field in ["username", "email", "full_name", "gender"] {
        for json in [r#""bob\u0000""#, r#""\ud800bob""#] {
            let answer = ada.post("/api/register", &register(field, json)).await;
            assert_eq!(answer.outcome(), "400 INVALID_REQUEST", "{field} {json}");
        }
    }
}

#[tokio::test]
async fn bodies_that_come_as_base64_are_decoded() {
    let (_service, ada) = signed_in().await;
    // {"key":"base64","value":1}
    assert_eq!(ada.post_base64("/api/data", "eyJrZXkiOiJiYXNlNjQiLCJ2YWx1ZSI6MX0=").await.status, 201);
    for (base64, what) in
        [("/w==", "no UTF-8"), ("7aCA", "a surrogate"), ("e30", "no padding"), ("%%%", "no base64"), ("", "nothing")]
    {
        assert_eq!(ada.post_base64("/api/data", base64).await.outcome(), "400 INVALID_REQUEST", "{what}");
    }
}

#[tokio::test]
async fn media_types_other_than_json_are_refused() {
    let (_service, ada) = signed_in().await;
    for (index, content_type) in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=\"UTF-8\"",
        "application/merge-patch+json",
    ]
    .iter()
    .enumerate()
    {
        let answer =
            ada.clone().with_header("content-type", content_type).store(&format!("ok-{index}"), json!(1)).await;
        assert_eq!(answer.status, 201, "{content_type}");
    }
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "json",
        "",
        "application/jsonx",
    ] {
        let answer = ada.clone().with_header("content-type", content_type).store("no", json!(1)).await;
        assert_eq!(answer.outcome(), "415 UNSUPPORTED_MEDIA_TYPE", "{content_type:?}");
    }
}

#[tokio::test]
async fn an_event_that_is_no_request_is_refused() {
    let service = in_process();
    for event in ["{}", "null", "[]", "1", r#"{"requestContext":{}}"#, r#"{"version":"1.0","httpMethod":"GET"}"#] {
        let answer = service.invoke(&data_get::ROUTE, event).await;
        assert_eq!(answer.outcome(), "400 INVALID_REQUEST", "{event}");
    }
}

#[tokio::test]
async fn odd_hosts_schemes_and_queries_do_not_matter() {
    let (_service, ada) = signed_in().await;
    for (name, value) in
        [("host", "not a host/:99999"), ("x-forwarded-proto", "h t t p"), ("host", ""), ("cookie", "a=b; c")]
    {
        assert_eq!(ada.clone().with_header(name, value).get("/api/data/key").await.status, 200, "{name}: {value}");
    }
    for query in ["a b", "%", "%zz=%", "==&&", "\"<>", "é"] {
        assert_eq!(ada.get(&format!("/api/data/key?{query}")).await.status, 200, "{query}");
    }
}
