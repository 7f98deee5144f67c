//! Tests of `GET /api/data/{key}`, with and without `If-None-Match`.

use expect_test::expect;
use serde_json::json;

use crate::support::in_process;

#[tokio::test]
async fn a_value_is_returned_with_its_metadata() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.post("/api/data", r#"{"key":"key","value":[1,2],"expires_in":3600}"#).await;
    expect![[r#"
        200
        etag: "1"
        {
          "data": {
            "created_at": "2026-01-01T00:00:00.000Z",
            "expires_at": "2026-01-01T01:00:00.000Z",
            "key": "key",
            "updated_at": "2026-01-01T00:00:00.000Z",
            "value": [
              1,
              2
            ],
            "version": 1
          },
          "status": "success"
        }
    "#]]
    .assert_eq(&ada.get("/api/data/key").await.to_string());
}

#[tokio::test]
async fn a_key_that_does_not_exist_is_not_found() {
    let ada = in_process().anonymous().sign_up("ada").await;
    expect![[r#"
        404
        {
          "code": "KEY_NOT_FOUND",
          "message": "No value is stored under this key.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&ada.get("/api/data/key").await.to_string());
}

#[tokio::test]
async fn get_with_a_matching_if_none_match_returns_304() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    let with_if_none_match = |tags: &str| ada.clone().with_header("if-none-match", tags);
    expect![[r#"
        304
        etag: "1"
    "#]]
    .assert_eq(&with_if_none_match("\"1\"").get("/api/data/key").await.to_string());
    for tags in ["*", "W/\"1\"", "\"7\", \"1\"", "\"7\",\"1\" "] {
        assert_eq!(with_if_none_match(tags).get("/api/data/key").await.status, 304, "{tags}");
    }
    for tags in ["\"2\"", "\"01\"", "\"+1\"", "\"x\"", "W/\"2\"", "\"\""] {
        assert_eq!(with_if_none_match(tags).get("/api/data/key").await.status, 200, "{tags}");
    }
    for tags in ["", "1", "\"1", "1\"", "\"1\" \"2\"", "w/\"1\"", "*, \"1\""] {
        assert_eq!(with_if_none_match(tags).get("/api/data/key").await.outcome(), "400 INVALID_REQUEST", "{tags}");
    }
    assert_eq!(with_if_none_match("*").get("/api/data/other").await.outcome(), "404 KEY_NOT_FOUND");
    ada.put("/api/data/key", r#"{"value":2}"#).await;
    assert_eq!(with_if_none_match("\"1\"").get("/api/data/key").await.value_text(), "2");
}
