//! Tests of `PUT /api/data/{key}`: versions, upserts, `If-Match`, `If-None-Match`, and concurrent writes.

use std::time::Duration;

use expect_test::expect;
use serde_json::json;

use crate::support::{Outcome, in_process, race};

#[tokio::test]
async fn a_replaced_value_has_a_new_version() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.post("/api/data", r#"{"key":"key","value":1,"expires_in":3600}"#).await;
    service.clock.advance(Duration::from_millis(1500));
    expect![[r#"
        200
        etag: "2"
        {
          "data": {
            "created_at": "2026-01-01T00:00:00.000Z",
            "key": "key",
            "updated_at": "2026-01-01T00:00:01.500Z",
            "value": {
              "two": 2
            },
            "version": 2
          },
          "message": "Value stored",
          "status": "success"
        }
    "#]]
    .assert_eq(&ada.put("/api/data/key", r#"{"value":{"two":2}}"#).await.to_string());
}

#[tokio::test]
async fn a_key_that_does_not_exist_is_not_found() {
    let ada = in_process().anonymous().sign_up("ada").await;
    assert_eq!(ada.put("/api/data/key", r#"{"value":1}"#).await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(ada.put("/api/data/key?upsert=false", r#"{"value":1}"#).await.outcome(), "404 KEY_NOT_FOUND");
}

#[tokio::test]
async fn upsert_creates_a_key_that_does_not_exist() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let created = ada.put("/api/data/a%20key?upsert=true", r#"{"value":1,"expires_in":60}"#).await;
    assert_eq!((created.status, created.header("location")), (201, Some("/api/data/a%20key")));
    let replaced = ada.put("/api/data/a%20key?upsert=true", r#"{"value":2,"expires_in":60}"#).await;
    assert_eq!((replaced.status, replaced.header("location")), (200, None));
    service.clock.advance(Duration::from_mins(1));
    let after_expiry = ada.put("/api/data/a%20key?upsert=true", r#"{"value":3}"#).await;
    assert_eq!((after_expiry.status, after_expiry.header("etag")), (201, Some("\"3\"")));
    for query in ["upsert=yes", "upsert", "upsert=true&upsert=true"] {
        let response = ada.put(&format!("/api/data/key?{query}"), r#"{"value":1}"#).await;
        assert_eq!(response.outcome(), "400 INVALID_REQUEST", "{query}");
    }
}

#[tokio::test]
async fn put_with_if_none_match_creates_a_value_and_does_not_replace_one() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let with_if_none_match = ada.clone().with_header("if-none-match", "*");
    assert_eq!(with_if_none_match.put("/api/data/key", r#"{"value":1}"#).await.status, 201);
    assert_eq!(with_if_none_match.put("/api/data/key", r#"{"value":2}"#).await.outcome(), "412 PRECONDITION_FAILED");
    assert_eq!(
        with_if_none_match.put("/api/data/key?upsert=true", r#"{"value":2}"#).await.outcome(),
        "412 PRECONDITION_FAILED"
    );
    assert_eq!(ada.get("/api/data/key").await.value_text(), "1");
    let with_tag = ada.clone().with_header("if-none-match", "\"1\"");
    assert_eq!(with_tag.put("/api/data/key", r#"{"value":2}"#).await.outcome(), "400 INVALID_REQUEST");
    let both = with_if_none_match.with_header("if-match", "*");
    assert_eq!(both.put("/api/data/key", r#"{"value":2}"#).await.outcome(), "400 INVALID_REQUEST");
}

#[tokio::test]
async fn put_with_if_match_requires_the_stored_version() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    let with_if_match = |tags: &str| ada.clone().with_header("if-match", tags);
    for tags in ["\"2\"", "W/\"1\"", "\"x\"", "\"2\", \"3\""] {
        let response = with_if_match(tags).put("/api/data/key", r#"{"value":2}"#).await;
        assert_eq!(response.outcome(), "412 PRECONDITION_FAILED", "{tags}");
    }
    assert_eq!(ada.get("/api/data/key").await.header("etag"), Some("\"1\""), "a rejected write changes nothing");
    let response = with_if_match("\"9\", \"1\"").put("/api/data/key", r#"{"value":2}"#).await;
    assert_eq!(response.status, 200);
    assert!(response.header("etag") > Some("\"1\""));
    assert_eq!(with_if_match("*").put("/api/data/key", r#"{"value":3}"#).await.status, 200);
    assert_eq!(with_if_match("*").put("/api/data/none", r#"{"value":3}"#).await.outcome(), "404 KEY_NOT_FOUND");
    let upsert = with_if_match("\"1\"").put("/api/data/none?upsert=true", r#"{"value":3}"#).await;
    assert_eq!(upsert.outcome(), "412 PRECONDITION_FAILED");
    assert_eq!(with_if_match("1").put("/api/data/key", r#"{"value":3}"#).await.outcome(), "400 INVALID_REQUEST");
}

#[tokio::test]
async fn one_of_several_concurrent_writes_with_the_same_if_match_succeeds() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("key", json!("first")).await;
    let outcomes = race(8, |index| {
        let client = ada.clone().with_header("if-match", "\"1\"");
        async move { client.put("/api/data/key", &json!({ "value": index }).to_string()).await }
    });
    let expected = [("200".to_owned(), 1), ("412 PRECONDITION_FAILED".to_owned(), 7)];
    assert_eq!(outcomes.await, expected.into());
}

/// Writes that create a key at the same time count it once, whichever of them waits.
#[tokio::test]
async fn concurrent_writes_of_a_new_key_are_counted_exactly() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    for round in 0..5 {
        let path = format!("/api/data/key-{round}");
        let outcomes = race(12, |index| {
            let (ada, path) = (ada.clone(), path.clone());
            async move {
                match index % 4 {
                    0 => ada.post("/api/data", &json!({ "key": &path[10..], "value": index }).to_string()).await,
                    1 => ada.delete(&path).await,
                    _ => {
                        ada.put(&format!("{path}?upsert=true"), &json!({ "value": "x".repeat(index) }).to_string())
                            .await
                    }
                }
            }
        });
        let expected = ["200", "201", "404 KEY_NOT_FOUND", "409 KEY_EXISTS"];
        let outcomes = outcomes.await;
        assert!(outcomes.keys().all(|outcome| expected.contains(&outcome.as_str())), "{outcomes:?}");
    }
    let database = service.database.connect().await;
    let counted = "select keys = (select count(*) from data_store)
        and bytes = (select coalesce(sum(octet_length(key) + octet_length(value)), 0) from data_store)
        and version >= (select coalesce(max(version), 0) from data_store) from user_counters";
    assert!(database.query_one(counted, &[]).await?.get::<_, bool>(0), "the counters must match the values");
    Ok(())
}

/// An index on a column that every write changes would have an entry for each write.
#[tokio::test]
async fn repeated_writes_of_a_key_touch_no_index() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(0)).await;
    for value in 0..5 {
        assert_eq!(ada.put("/api/data/key", &json!({ "value": value }).to_string()).await.status, 200);
    }
    // A connection adds its writes to the statistics at the latest when it ends.
    let database = service.database.connect().await;
    let end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    database.query(end, &[]).await?;
    let updates = "select relname::text, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables
        where relname in ('data_store', 'user_counters') order by relname";
    let updates = database.query(updates, &[]).await?;
    let updates: Vec<(String, i64, i64)> = updates.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(updates, [("data_store".to_owned(), 5, 5), ("user_counters".to_owned(), 6, 6)]);
    Ok(())
}

#[tokio::test]
async fn versions_of_a_key_increase_also_after_a_deletion() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let mut versions = Vec::new();
    for _ in 0..3 {
        versions.push(ada.store("key", json!(1)).await.json()["data"]["version"].as_i64());
        versions.push(ada.put("/api/data/key", r#"{"value":2}"#).await.json()["data"]["version"].as_i64());
        assert_eq!(ada.delete("/api/data/key").await.status, 200);
    }
    assert!(versions.iter().all(Option::is_some) && versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

#[tokio::test]
async fn a_body_without_a_value_is_rejected() {
    let ada = in_process().anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    assert_eq!(ada.put("/api/data/key", "{}").await.outcome(), "400 INVALID_VALUE");
    assert_eq!(ada.put("/api/data/key", r#"{"value":null}"#).await.status, 200);
    assert_eq!(ada.get("/api/data/key").await.value_text(), "null");
}

/// Forces an interleaving of the races above: the write has found no row and then waits for the counters.
#[tokio::test]
async fn a_write_that_waits_while_its_new_key_is_inserted_replaces_the_value() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    let mut database = service.database.connect().await;
    let other = database.transaction().await?;
    let count = "update user_counters set version = 7, keys = 1, bytes = 4, keys_allowed = 10, bytes_allowed = 1000";
    assert_eq!(other.execute(count, &[]).await?, 1);
    let writer = tokio::spawn({
        let ada = ada.clone();
        async move { ada.put("/api/data/key?upsert=true", r#"{"value":23}"#).await }
    });
    service.database.until_a_statement_waits().await;
    let insert = "insert into data_store (user_id, key, value, version, first_version, created_at, updated_at)
        select user_id, 'key', '1', 7, 7, '2026-01-01', '2026-01-01' from user_counters";
    other.execute(insert, &[]).await?;
    other.commit().await?;
    assert_eq!(writer.await?.outcome(), "200");
    let entry = ada.get("/api/data/key").await.json();
    assert_eq!((&entry["data"]["value"], &entry["data"]["version"]), (&json!(23), &json!(8)));
    let counters = database.query_one("select keys, bytes from user_counters", &[]).await?;
    assert_eq!((counters.get::<_, i64>(0), counters.get::<_, i64>(1)), (1, 5), "the replaced value was subtracted");
    Ok(())
}

/// Forces another one: the write waits for a row that is then deleted.
#[tokio::test]
async fn a_write_that_waits_while_its_value_is_deleted_creates_it() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!("old value")).await;
    let mut database = service.database.connect().await;
    let other = database.transaction().await?;
    other.execute("delete from data_store", &[]).await?;
    let writer = tokio::spawn({
        let ada = ada.clone();
        async move { ada.put("/api/data/key?upsert=true", r#"{"value":1}"#).await }
    });
    service.database.until_a_statement_waits().await;
    other.execute("update user_counters set keys = 0, bytes = 0", &[]).await?;
    other.commit().await?;
    assert_eq!(writer.await?.outcome(), "201");
    assert_eq!(ada.get("/api/data/key").await.json()["data"]["version"], 2);
    let counters = database.query_one("select keys, bytes from user_counters", &[]).await?;
    assert_eq!((counters.get::<_, i64>(0), counters.get::<_, i64>(1)), (1, 4));
    Ok(())
}
