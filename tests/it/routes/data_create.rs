//! Tests of `POST /api/data`: response, existing keys, validation, expiry, quota, and concurrent writes.

use std::time::Duration;

use expect_test::expect;
use serde_json::json;
use shared::domain::Quota;

use crate::support::{Service, database, in_process, race, settings};

#[tokio::test]
async fn a_created_value_is_returned_with_its_version_and_location() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let answer = ada.store("settings/dark mode", json!({ "on": true })).await;
    expect![[r#"
        201
        etag: "1"
        location: /api/data/settings/dark%20mode
        {
          "data": {
            "created_at": "2026-01-01T00:00:00.000Z",
            "key": "settings/dark mode",
            "updated_at": "2026-01-01T00:00:00.000Z",
            "value": {
              "on": true
            },
            "version": 1
          },
          "message": "Value stored",
          "status": "success"
        }
    "#]]
    .assert_eq(&answer.to_string());
}

#[tokio::test]
async fn creating_an_existing_key_fails_and_keeps_its_value() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    let again = ada.store("key", json!(2)).await;
    expect![[r#"
        409
        {
          "code": "KEY_EXISTS",
          "message": "A value is already stored under this key. Replace it with PUT.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&again.to_string());
    assert_eq!(ada.get("/api/data/key").await.value_text(), "1");
}

#[tokio::test]
async fn users_have_separate_keys() {
    let service = in_process();
    let (ada, bob) = (service.anonymous().sign_up("ada").await, service.anonymous().sign_up("bob").await);
    assert_eq!(ada.store("key", json!("ada's")).await.status, 201);
    assert_eq!(bob.get("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(bob.put("/api/data/key", r#"{"value":0}"#).await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(bob.delete("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(bob.store("key", json!("bob's")).await.status, 201);
    assert_eq!(ada.get("/api/data/key").await.value_text(), r#""ada's""#);
}

#[tokio::test]
async fn every_error_in_a_body_is_reported() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let answer = ada.post("/api/data", r#"{"key":"a//b","expires_in":0}"#).await;
    expect![[r#"
        400
        {
          "code": "INVALID_KEY",
          "errors": [
            {
              "code": "INVALID_KEY",
              "field": "key",
              "message": "key must not contain an empty segment, `.`, or `..` between slashes"
            },
            {
              "code": "INVALID_VALUE",
              "field": "value",
              "message": "value is required; it may be null"
            },
            {
              "code": "INVALID_REQUEST",
              "field": "expires_in",
              "message": "expires_in must be a whole number of seconds from 1 to 315360000"
            }
          ],
          "message": "key must not contain an empty segment, `.`, or `..` between slashes; value is required; it may be null; expires_in must be a whole number of seconds from 1 to 315360000",
          "request_id": "request-1",
          "status": "error"
        }
    "#]].assert_eq(&answer.to_string());
    for (body, expected) in [
        (r#"{"value":1}"#, "400 INVALID_REQUEST"),
        (r#"{"key":1,"value":1}"#, "400 INVALID_REQUEST"),
        (r#"{"key":"","value":1}"#, "400 INVALID_KEY"),
        (r#"{"key":"k"}"#, "400 INVALID_VALUE"),
        (r#"{"key":"k","value":1,"expires_in":-1}"#, "400 INVALID_REQUEST"),
        (r#"{"key":"k","value":1,"expires_in":1.5}"#, "400 INVALID_REQUEST"),
        (r#"{"key":"k","value":1,"expires_in":1e30}"#, "400 INVALID_REQUEST"),
        (r#"{"key":"k","value":1,"expires_in":"60"}"#, "400 INVALID_REQUEST"),
    ] {
        assert_eq!(ada.post("/api/data", body).await.outcome(), expected, "{body}");
    }
}

#[tokio::test]
async fn an_expired_key_is_not_found_and_can_be_created_again() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let answer = ada.post("/api/data", r#"{"key":"key","value":1,"expires_in":60}"#).await;
    assert_eq!(answer.text("expires_at"), "2026-01-01T00:01:00.000Z");
    service.clock.advance(Duration::from_secs(59));
    assert_eq!(ada.get("/api/data/key").await.status, 200);
    assert_eq!(ada.store("key", json!(2)).await.outcome(), "409 KEY_EXISTS");
    service.clock.advance(Duration::from_secs(1));
    assert_eq!(ada.get("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(ada.put("/api/data/key", r#"{"value":2}"#).await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(ada.delete("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND");
    let again = ada.store("key", json!(3)).await;
    assert_eq!(again.status, 201);
    assert_eq!(again.text("created_at"), "2026-01-01T00:01:00.000Z");
    assert_eq!(again.json()["data"]["expires_at"], json!(null));
}

#[tokio::test]
async fn one_of_several_concurrent_creations_of_a_key_succeeds() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let outcomes = race(8, |index| {
        let ada = ada.clone();
        async move { ada.store("key", json!(index)).await }
    });
    let expected = [("201".to_owned(), 1), ("409 KEY_EXISTS".to_owned(), 7)];
    assert_eq!(outcomes.await, expected.into());
}

#[tokio::test]
async fn concurrent_writes_do_not_exceed_the_quota_of_keys() {
    let service = Service::new(database(), {
        let mut settings = settings();
        settings.quota.keys = 5;
        settings
    });
    let ada = service.anonymous().sign_up("ada").await;
    let outcomes = race(12, |index| {
        let ada = ada.clone();
        async move { ada.store(&format!("key-{index}"), json!(index)).await }
    });
    let expected = [("201".to_owned(), 5), ("403 QUOTA_EXCEEDED".to_owned(), 7)];
    assert_eq!(outcomes.await, expected.into());
    let bob = service.anonymous().sign_up("bob").await;
    assert_eq!(bob.store("key", json!(1)).await.status, 201, "each user has a separate quota");
}

#[tokio::test]
async fn the_quota_of_bytes_counts_only_stored_values() {
    let quota = Quota { keys: 100, bytes: 100 };
    let service = Service::new(database(), {
        let mut settings = settings();
        settings.quota = quota;
        settings
    });
    let ada = service.anonymous().sign_up("ada").await;
    // The quotes of a JSON text take 2 bytes.
    let text_of_bytes = |bytes: usize| "x".repeat(bytes - 2);
    assert_eq!(ada.store("key", json!(text_of_bytes(97))).await.status, 201, "3 bytes of key and 97 bytes of value");
    assert_eq!(ada.store("k", json!(1)).await.outcome(), "403 QUOTA_EXCEEDED");
    assert_eq!(
        ada.put("/api/data/key", &json!({ "value": text_of_bytes(98) }).to_string()).await.outcome(),
        "403 QUOTA_EXCEEDED"
    );
    assert_eq!(ada.get("/api/data/key").await.value_text().len(), 97, "a rejected write changes nothing");
    assert_eq!(ada.put("/api/data/key", &json!({ "value": text_of_bytes(90) }).to_string()).await.status, 200);
    assert_eq!(ada.store("k", json!(1)).await.status, 201);
    assert_eq!(ada.delete("/api/data/key").await.status, 200);
    assert_eq!(ada.store("key", json!(text_of_bytes(95))).await.status, 201);
}
