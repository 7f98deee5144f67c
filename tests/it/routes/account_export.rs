//! Tests of `GET /api/account/export`: contents, pages, and import of the pages through `POST /api/data/batch`.

use std::time::Duration;

use expect_test::expect;
use serde_json::json;

use crate::support::{Outcome, in_process, registration};

#[tokio::test]
async fn an_export_contains_the_account_the_values_and_the_sessions_of_the_caller() {
    let service = in_process();
    let phone = service.anonymous().with_header("user-agent", "Phone/1.0");
    assert_eq!(phone.post("/api/register", &registration("ada").body()).await.status, 201);
    service.clock.advance(Duration::from_secs(1));
    let ada = phone.sign_in("ada").await;
    service.anonymous().sign_up("bob").await.store("bob", json!(1)).await;
    ada.store("a", json!({ "b": [1, null] })).await;
    ada.post("/api/data", r#"{"key":"b","value":"soon gone","expires_in":60}"#).await;
    service.clock.advance(Duration::from_millis(10_500));
    expect![[r#"
        200
        {
          "data": {
            "account": {
              "age": 36,
              "created_at": "2026-01-01T00:00:00.000Z",
              "email": "ada@example.com",
              "email_verified": false,
              "full_name": "Ada Lovelace",
              "gender": "female",
              "user_id": "[UUIDv7]",
              "username": "ada"
            },
            "events": [
              {
                "by_operator": false,
                "created_at": "2026-01-01T00:00:01.000Z",
                "event": "session.started",
                "id": "[UUIDv7]",
                "network": "203.0.113.1",
                "session_id": "[UUIDv7]",
                "user_agent": "Phone/1.0"
              },
              {
                "by_operator": false,
                "created_at": "2026-01-01T00:00:00.000Z",
                "event": "account.created",
                "id": "[UUIDv7]",
                "network": "203.0.113.1",
                "session_id": null,
                "user_agent": "Phone/1.0"
              }
            ],
            "known_networks": [
              {
                "network": "203.0.113.1",
                "seen_at": "2026-01-01T00:00:01.000Z"
              }
            ],
            "next_cursor": null,
            "operations": [
              {
                "created_at": "2026-01-01T00:00:01.000Z",
                "key": "a",
                "op": "put",
                "updated_at": "2026-01-01T00:00:01.000Z",
                "upsert": true,
                "value": {
                  "b": [
                    1,
                    null
                  ]
                },
                "version": 1
              },
              {
                "created_at": "2026-01-01T00:00:01.000Z",
                "expires_at": "2026-01-01T00:01:01.000Z",
                "expires_in": 50,
                "key": "b",
                "op": "put",
                "updated_at": "2026-01-01T00:00:01.000Z",
                "upsert": true,
                "value": "soon gone",
                "version": 2
              }
            ],
            "sessions": [
              {
                "created_at": "2026-01-01T00:00:01.000Z",
                "current": true,
                "expires_at": "2026-01-31T00:00:01.000Z",
                "id": "[UUIDv7]",
                "network": "203.0.113.1",
                "refreshed_at": "2026-01-01T00:00:01.000Z",
                "user_agent": "Phone/1.0"
              }
            ]
          },
          "status": "success"
        }
    "#]]
    .assert_eq(&ada.get("/api/account/export").await.to_string());
}

/// Returns the text of `data`, byte for byte as in the body.
fn data(body: &str) -> &str {
    body.strip_prefix(r#"{"status":"success","data":"#)
        .and_then(|rest| rest.strip_suffix('}'))
        .expect("a successful response")
}

#[tokio::test]
async fn every_page_of_an_export_can_be_imported_by_a_batch() -> Outcome {
    let service = in_process();
    let (ada, bob) = (service.anonymous().sign_up("ada").await, service.anonymous().sign_up("bob").await);
    let texts = [
        r#""x""#,
        "{\n  \"a\": [\n1,\t2 ]\n}",
        "1.50",
        r#"{"a":1,"a":2}"#,
        r#""\u0000 \" \\""#,
        "null",
        "123456789012345678901234567890",
    ];
    for (number, text) in texts.iter().cycle().take(230).enumerate() {
        let body = format!(r#"{{"key":"key-{number:03}","value":{text}}}"#);
        assert_eq!(ada.post("/api/data", &body).await.status, 201);
    }
    let (mut pages, mut next) = (0, String::new());
    loop {
        let page = ada.get(&format!("/api/account/export{next}")).await;
        assert_eq!(page.json()["data"]["account"].is_object(), pages == 0, "only the first page contains the account");
        let restored = bob.post("/api/data/batch", data(&page.body)).await;
        assert_eq!(restored.status, 200, "{}", restored.body);
        pages += 1;
        match page.json()["data"]["next_cursor"].as_str() {
            Some(cursor) => next = format!("?cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(pages, 3);
    for (number, text) in texts.iter().cycle().take(230).enumerate() {
        assert_eq!(bob.get(&format!("/api/data/key-{number:03}")).await.value_text(), *text);
    }
    Ok(())
}

#[tokio::test]
async fn the_largest_page_of_an_export_is_accepted_as_a_batch() {
    let service = in_process();
    let (ada, bob) = (service.anonymous().sign_up("ada").await, service.anonymous().sign_up("bob").await);
    for number in 0..6 {
        ada.store(&format!("{number}{}", "k".repeat(254)), json!("\"".repeat(100_000))).await;
    }
    let page = ada.get("/api/account/export").await;
    assert_eq!(page.json()["data"]["operations"].as_array().map(Vec::len), Some(5));
    assert_eq!(bob.post("/api/data/batch", data(&page.body)).await.status, 200);
}

#[tokio::test]
async fn an_invalid_parameter_is_rejected() {
    let ada = in_process().anonymous().sign_up("ada").await;
    for query in ["limit=0", "limit=x", "cursor=x"] {
        assert_eq!(ada.get(&format!("/api/account/export?{query}")).await.outcome(), "400 INVALID_REQUEST", "{query}");
    }
    assert_eq!(
        ada.get("/api/account/export?limit=1000").await.status,
        200,
        "a limit above the number of values on a page is accepted"
    );
}
