//! Tests that invalid input gets a 4xx response with an error code: it causes neither a 5xx response nor a crash.

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
async fn a_body_that_is_not_a_json_object_is_rejected() {
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
async fn bodies_over_the_limits_of_size_and_depth_are_rejected() {
    let (_service, ada) = signed_in().await;
    let deep = |depth: usize| format!("{{\"key\":\"deep\",\"value\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let long = |bytes: usize| json!({ "key": "long", "value": "x".repeat(bytes - 2) }).to_string();
    let many: Value =
        (0..200).map(|index| (format!("member{index}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
    for (case, body, expected) in [
        ("the maximum depth", deep(128), "201"),
        ("above the maximum depth", deep(129), "400 INVALID_VALUE"),
        ("a depth of 100,000", deep(100_000), "400 INVALID_VALUE"),
        ("the maximum size", long(256 * 1024), "201"),
        ("above the maximum size", long(256 * 1024 + 1), "413 PAYLOAD_TOO_LARGE"),
        ("a value of 5 MiB", long(5 * 1024 * 1024), "413 PAYLOAD_TOO_LARGE"),
        ("200 unknown members", many.to_string(), "400 INVALID_REQUEST"),
        ("1 MiB of spaces", " ".repeat(1024 * 1024), "413 PAYLOAD_TOO_LARGE"),
    ] {
        assert_eq!(ada.post("/api/data", &body).await.outcome(), expected, "{case}");
    }
    let long_credentials = json!({ "username": "x".repeat(300_000), "password": "x".repeat(100_000) }).to_string();
    assert_eq!(ada.post("/api/token", &long_credentials).await.outcome(), "401 INVALID_CREDENTIALS");
}

#[tokio::test]
async fn null_characters_and_unpaired_surrogates_are_rejected() {
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
            let response = ada.post("/api/register", &register(field, json)).await;
            assert_eq!(response.outcome(), "400 INVALID_REQUEST", "{field} {json}");
        }
    }
}

#[tokio::test]
async fn base64_bodies_are_decoded_and_invalid_ones_rejected() {
    let (_service, ada) = signed_in().await;
    // This is {"key":"base64","value":1}.
    assert_eq!(ada.post_base64("/api/data", "eyJrZXkiOiJiYXNlNjQiLCJ2YWx1ZSI6MX0=").await.status, 201);
    for (base64, case) in [
        ("/w==", "invalid UTF-8"),
        ("7aCA", "a surrogate"),
        ("e30", "missing padding"),
        ("%%%", "invalid base64"),
        ("", "an empty body"),
    ] {
        assert_eq!(ada.post_base64("/api/data", base64).await.outcome(), "400 INVALID_REQUEST", "{case}");
    }
}

#[tokio::test]
async fn media_types_other_than_json_are_rejected() {
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
        let response =
            ada.clone().with_header("content-type", content_type).store(&format!("ok-{index}"), json!(1)).await;
        assert_eq!(response.status, 201, "{content_type}");
    }
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "json",
        "application/json; charset=iso-8859-1",
        "application/jsonx",
    ] {
        let response = ada.clone().with_header("content-type", content_type).store("no", json!(1)).await;
        assert_eq!(response.outcome(), "415 UNSUPPORTED_MEDIA_TYPE", "{content_type:?}");
    }
}

#[tokio::test]
async fn a_compressed_body_is_rejected_with_the_name_of_the_coding() {
    let (_service, ada) = signed_in().await;
    for (coding, expected) in
        [("gzip", "415 UNSUPPORTED_MEDIA_TYPE"), ("br", "415 UNSUPPORTED_MEDIA_TYPE"), ("identity", "201"), ("", "201")]
    {
        let response =
            ada.clone().with_header("content-encoding", coding).store(&format!("key-{coding}"), json!(1)).await;
        assert_eq!(response.outcome(), expected, "{coding:?}");
        if response.status == 415 {
            assert_eq!(response.json()["message"], format!("send the body without the content encoding {coding}"));
        }
    }
}

/// Some editors and .NET write one.
#[tokio::test]
async fn a_byte_order_mark_before_the_body_is_ignored() {
    let (_service, ada) = signed_in().await;
    assert_eq!(ada.post("/api/data", "\u{feff}{\"key\":\"marked\",\"value\":1}").await.outcome(), "201");
    assert_eq!(ada.post("/api/data", "\u{feff}\u{feff}{}").await.outcome(), "400 INVALID_REQUEST");
    assert_eq!(ada.get("/api/data/marked").await.value_text(), "1");
}

#[tokio::test]
async fn an_event_that_is_not_a_request_is_rejected() {
    let service = in_process();
    for event in ["{}", "null", "[]", "1", r#"{"requestContext":{}}"#, r#"{"version":"1.0","httpMethod":"GET"}"#] {
        let response = service.invoke(&data_get::ROUTE, event).await;
        assert_eq!(response.outcome(), "400 INVALID_REQUEST", "{event}");
    }
}

#[tokio::test]
async fn invalid_hosts_schemes_cookies_and_queries_are_ignored() {
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
