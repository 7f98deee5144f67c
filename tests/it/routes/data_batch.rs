//! Tests of `POST /api/data/batch`: results, atomicity, `if_version`, limits, quota, and concurrent batches.

use std::time::Duration;

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Client, Outcome, Response, in_process, race, settings};

async fn batch(client: &Client, operations: Value) -> Response {
    client.post("/api/data/batch", &json!({ "operations": operations }).to_string()).await
}

/// Returns the stored entries as `[key, value, version]`, ordered by key.
async fn stored(client: &Client) -> Value {
    let list = client.get("/api/data?values=true").await.json();
    let items = list["data"]["items"].as_array().expect("items").clone();
    items.iter().map(|item| json!([item["key"], item["value"], item["version"]])).collect()
}

#[tokio::test]
async fn results_are_in_the_order_of_the_operations() {
    let ada = in_process().anonymous().sign_up("ada").await;
    for key in ["read", "changed", "removed"] {
        ada.store(key, json!(key)).await;
    }
    let response = batch(
        &ada,
        json!([
            { "op": "put", "key": "changed", "value": { "new": true }, "expires_in": 60 },
            { "op": "get", "key": "read" },
            { "op": "delete", "key": "removed" },
            { "op": "create", "key": "created", "value": null },
            { "op": "put", "key": "upserted", "value": 0, "upsert": true },
        ]),
    )
    .await;
    expect![[r#"
        200
        {
          "data": {
            "results": [
              {
                "created_at": "2026-01-01T00:00:00.000Z",
                "expires_at": "2026-01-01T00:01:00.000Z",
                "key": "changed",
                "updated_at": "2026-01-01T00:00:00.000Z",
                "version": 4
              },
              {
                "created_at": "2026-01-01T00:00:00.000Z",
                "key": "read",
                "updated_at": "2026-01-01T00:00:00.000Z",
                "value": "read",
                "version": 1
              },
              {
                "deleted": true,
                "key": "removed"
              },
              {
                "created_at": "2026-01-01T00:00:00.000Z",
                "key": "created",
                "updated_at": "2026-01-01T00:00:00.000Z",
                "version": 7
              },
              {
                "created_at": "2026-01-01T00:00:00.000Z",
                "key": "upserted",
                "updated_at": "2026-01-01T00:00:00.000Z",
                "version": 8
              }
            ]
          },
          "message": "Batch completed",
          "status": "success"
        }
    "#]]
    .assert_eq(&response.to_string());
    let expected =
        json!([["changed", { "new": true }, 4], ["created", null, 7], ["read", "read", 1], ["upserted", 0, 8]]);
    assert_eq!(stored(&ada).await, expected);
    assert_eq!(
        ada.store("next", json!(1)).await.header("etag"),
        Some("\"9\""),
        "the next version follows the versions of the batch"
    );
}

#[tokio::test]
async fn a_failed_batch_reports_the_failed_operations_and_changes_nothing() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("a", json!(1)).await;
    ada.store("b", json!(2)).await;
    let response = batch(
        &ada,
        json!([
            { "op": "put", "key": "a", "value": "changed" },
            { "op": "create", "key": "b", "value": "changed" },
            { "op": "delete", "key": "none" },
            { "op": "create", "key": "new", "value": 1 },
        ]),
    )
    .await;
    expect![[r#"
        409
        {
          "code": "KEY_EXISTS",
          "errors": [
            {
              "code": "KEY_EXISTS",
              "field": "operations[1]",
              "message": "operation 1: A value is already stored under this key. Replace it with PUT"
            },
            {
              "code": "KEY_NOT_FOUND",
              "field": "operations[2]",
              "message": "operation 2: No value is stored under this key"
            }
          ],
          "message": "operation 1: A value is already stored under this key. Replace it with PUT; operation 2: No value is stored under this key",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&response.to_string());
    for (operation, expected) in [
        (json!({ "op": "get", "key": "none" }), "404 KEY_NOT_FOUND"),
        (json!({ "op": "put", "key": "none", "value": 1 }), "404 KEY_NOT_FOUND"),
        (json!({ "op": "get", "key": "b", "if_version": 1 }), "412 PRECONDITION_FAILED"),
        (json!({ "op": "put", "key": "b", "value": 1, "if_version": 3 }), "412 PRECONDITION_FAILED"),
        (json!({ "op": "put", "key": "b", "value": 1, "if_version": 1, "upsert": true }), "412 PRECONDITION_FAILED"),
        (json!({ "op": "put", "key": "none", "value": 1, "if_version": 1, "upsert": true }), "412 PRECONDITION_FAILED"),
        (json!({ "op": "put", "key": "none", "value": 1, "if_version": 1 }), "404 KEY_NOT_FOUND"),
        (json!({ "op": "delete", "key": "b", "if_version": 1 }), "412 PRECONDITION_FAILED"),
        (json!({ "op": "create", "key": "none", "value": 1, "if_version": 1 }), "412 PRECONDITION_FAILED"),
    ] {
        let change = json!({ "op": "put", "key": "a", "value": "changed" });
        assert_eq!(batch(&ada, json!([change, operation])).await.outcome(), expected, "{operation}");
    }
    assert_eq!(stored(&ada).await, json!([["a", 1, 1], ["b", 2, 2]]));
}

#[tokio::test]
async fn a_batch_succeeds_if_every_if_version_matches() {
    let ada = in_process().anonymous().sign_up("ada").await;
    for key in ["a", "b", "c"] {
        ada.store(key, json!(0)).await;
    }
    let response = batch(
        &ada,
        json!([
            { "op": "get", "key": "a", "if_version": 1 },
            { "op": "put", "key": "b", "value": 1, "if_version": 2 },
            { "op": "delete", "key": "c", "if_version": 3 },
        ]),
    )
    .await;
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(stored(&ada).await, json!([["a", 0, 1], ["b", 1, 5]]));
}

#[tokio::test]
async fn every_error_in_a_batch_is_reported() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let response = batch(
        &ada,
        json!([
            { "op": "create", "key": "a" },
            { "op": "merge", "key": "b", "value": 1 },
            { "key": "c" },
            { "op": "get", "key": "//" },
            "get",
            { "op": "create", "key": "d", "value": 1, "if_version": null, "expires_in": -1 },
            { "op": "put", "key": "e", "value": 1, "upsert": "yes", "if_version": 0 },
            { "op": "get", "key": "f" },
            { "op": "delete", "key": "f" },
        ]),
    )
    .await;
    assert_eq!(response.outcome(), "400 INVALID_VALUE");
    let errors = response.json()["errors"].clone();
    let errors: Vec<String> = errors
        .as_array()
        .expect("a list of errors")
        .iter()
        .map(|error| format!("{} {}", error["field"], error["message"]))
        .collect();
    expect![[r#"
        "operations[0].value" "operations[0]: value is required; it may be null"
        "operations[1].op" "operations[1]: op must be get, create, put, or delete"
        "operations[2].op" "operations[2]: op is required"
        "operations[3].key" "operations[3]: key must not contain an empty segment, `.`, or `..` between slashes"
        "operations[4]" "operations[4] must be a JSON object"
        "operations[5].if_version" "operations[5]: if_version must be a whole number from 1 to 9007199254740991"
        "operations[5].expires_in" "operations[5]: expires_in must be a whole number of seconds from 1 to 315360000"
        "operations[6].if_version" "operations[6]: if_version must be a whole number from 1 to 9007199254740991"
        "operations[6].upsert" "operations[6]: upsert must be true or false"
        "operations[8].key" "operations[8]: operation 7 has the same key: each key can be in a batch only once""#]]
    .assert_eq(&errors.join("\n"));
}

#[tokio::test]
async fn the_number_of_operations_and_the_size_of_a_batch_are_limited() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let creates = |count: usize| -> Value {
        (0..count).map(|number| json!({ "op": "create", "key": format!("key-{number:03}"), "value": number })).collect()
    };
    for operations in [json!([]), creates(101), json!({}), json!("x"), json!(null)] {
        assert_eq!(batch(&ada, operations).await.outcome(), "400 INVALID_REQUEST");
    }
    assert_eq!(ada.post("/api/data/batch", "{}").await.outcome(), "400 INVALID_REQUEST");
    assert_eq!(batch(&ada, creates(100)).await.status, 200);
    let gets: Value = (0..100).map(|number| json!({ "op": "get", "key": format!("key-{number:03}") })).collect();
    let response = batch(&ada, gets).await;
    assert_eq!(response.json()["data"]["results"][99]["value"], 99);

    let large = |count: usize| -> Value {
        let value = "x".repeat(200_000);
        (0..count).map(|number| json!({ "op": "create", "key": format!("large-{number}"), "value": value })).collect()
    };
    assert_eq!(batch(&ada, large(11)).await.outcome(), "413 PAYLOAD_TOO_LARGE");
    assert_eq!(batch(&ada, large(10)).await.status, 200);
    let gets = |count: usize| -> Value {
        (0..count).map(|number| json!({ "op": "get", "key": format!("large-{number}") })).collect()
    };
    assert_eq!(batch(&ada, gets(5)).await.status, 200);
    assert_eq!(batch(&ada, gets(6)).await.outcome(), "413 PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn values_are_returned_byte_for_byte() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let text = r#"{"b":1.0,"a":100000000000000000000000000001,"a":"\u0000\u00e9\/"}"#;
    let body = format!(r#"{{"operations":[{{"op":"create","key":"k","value":{text}}}]}}"#);
    assert_eq!(ada.post("/api/data/batch", &body).await.status, 200);
    assert_eq!(ada.get("/api/data/k").await.value_text(), text);
    let got = batch(&ada, json!([{ "op": "get", "key": "k" }])).await;
    assert!(got.body.contains(&format!(r#""value":{text},"#)), "{}", got.body);
}

#[tokio::test]
async fn a_batch_over_the_quota_stores_nothing() {
    let mut settings = settings();
    settings.quota.keys = 3;
    let service = in_process().with_settings(settings);
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("a", json!(1)).await;
    let create = |key: &str| json!({ "op": "create", "key": key, "value": 1 });
    let response = batch(&ada, json!([create("b"), create("c"), create("d")])).await;
    assert_eq!(response.outcome(), "403 QUOTA_EXCEEDED");
    assert_eq!(stored(&ada).await, json!([["a", 1, 1]]));
    let swap = json!([create("b"), create("c"), create("d"), { "op": "delete", "key": "a" }]);
    assert_eq!(
        batch(&ada, swap).await.status,
        200,
        "only the keys that remain after the batch count against the quota"
    );
    assert_eq!(ada.store("e", json!(1)).await.outcome(), "403 QUOTA_EXCEEDED");
    assert_eq!(ada.delete("/api/data/b").await.status, 200);
    assert_eq!(ada.store("e", json!(1)).await.status, 201);
}

#[tokio::test]
async fn a_batch_treats_expired_values_as_absent() {
    let mut settings = settings();
    settings.quota.keys = 2;
    let service = in_process().with_settings(settings);
    let ada = service.anonymous().sign_up("ada").await;
    for key in ["a", "b"] {
        ada.post("/api/data", &json!({ "key": key, "value": 1, "expires_in": 10 }).to_string()).await;
    }
    service.clock.advance(Duration::from_secs(10));
    for operation in [
        json!({ "op": "get", "key": "a" }),
        json!({ "op": "put", "key": "a", "value": 2 }),
        json!({ "op": "delete", "key": "a" }),
    ] {
        assert_eq!(batch(&ada, json!([operation])).await.outcome(), "404 KEY_NOT_FOUND");
    }
    let create = |key: &str| json!({ "op": "create", "key": key, "value": 3 });
    assert_eq!(
        batch(&ada, json!([create("a"), create("c")])).await.status,
        200,
        "expired values do not count against the quota"
    );
    let created = ada.get("/api/data/a").await;
    assert_eq!(created.text("created_at"), "2026-01-01T00:00:10.000Z");
    assert_eq!(ada.store("d", json!(1)).await.outcome(), "403 QUOTA_EXCEEDED");
}

#[tokio::test]
async fn concurrent_batches_and_writes_succeed_and_keep_the_usage_exact() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let keys: Vec<String> = (0..10).map(|number| format!("key-{number}")).collect();
    for key in &keys {
        ada.store(key, json!(0)).await;
    }
    let outcomes = race(24, |index| {
        let (ada, mut keys) = (ada.clone(), keys.clone());
        async move {
            // Batches that lock keys in different orders could deadlock with each other and with single writes.
            keys.rotate_left(index % 10);
            match index % 4 {
                0 => ada.delete(&format!("/api/data/{}", keys[0])).await,
                1 => ada.put(&format!("/api/data/{}?upsert=true", keys[0]), r#"{"value":-1}"#).await,
                _ => {
                    let puts: Value = keys
                        .iter()
                        .map(|key| json!({ "op": "put", "key": key, "value": index, "upsert": true }))
                        .collect();
                    batch(&ada, puts).await
                }
            }
        }
    })
    .await;
    let expected = ["200", "201", "404 KEY_NOT_FOUND"];
    assert!(outcomes.keys().all(|outcome| expected.contains(&outcome.as_str())), "{outcomes:?}");
    let puts: Value = keys.iter().map(|key| json!({ "op": "put", "key": key, "value": 7, "upsert": true })).collect();
    assert_eq!(batch(&ada, puts).await.status, 200);
    let database = service.database.connect().await;
    let usage = "select (select keys from user_counters) = (select count(*) from data_store)
        and (select bytes from user_counters) = (select sum(octet_length(key) + octet_length(value)) from data_store)";
    assert!(database.query_one(usage, &[]).await?.get::<_, bool>(0), "user_counters must match data_store");
    Ok(())
}

#[tokio::test]
async fn one_of_several_concurrent_batches_with_the_same_if_version_succeeds() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("a", json!(0)).await;
    ada.store("b", json!(0)).await;
    let outcomes = race(8, |index| {
        let ada = ada.clone();
        async move {
            let put =
                |key: &str, version: i64| json!({ "op": "put", "key": key, "value": index, "if_version": version });
            batch(&ada, json!([put("a", 1), put("b", 2)])).await
        }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 1), ("412 PRECONDITION_FAILED".to_owned(), 7)].into());
    let stored = stored(&ada).await;
    assert_eq!(stored[0][1], stored[1][1], "both values must come from the same batch");
}
