//! Tests of `GET`, `PATCH`, and `DELETE /api/account`, also with concurrent writes to the account.

use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::json;

use crate::support::scenarios::{assert_no_rows_remain, race_account_deletion, sweep};
use crate::support::{Client, Outcome, in_process, password};

fn password_body(password: &str) -> String {
    json!({ "password": password }).to_string()
}

async fn patch(client: &Client, body: &str) -> String {
    let response = client.patch("/api/account", body).await;
    if response.status == 200 { response.json()["data"].to_string() } else { response.outcome() }
}

#[tokio::test]
async fn get_returns_the_registered_account() {
    let ada = in_process().anonymous().sign_up("ada").await;
    expect![[r#"
        200
        {
          "data": {
            "age": 36,
            "created_at": "2026-01-01T00:00:00.000Z",
            "email": "ada@example.com",
            "email_verified": false,
            "full_name": "Ada Lovelace",
            "gender": "female",
            "user_id": "[UUIDv7]",
            "username": "ada"
          },
          "status": "success"
        }
    "#]]
    .assert_eq(&ada.get("/api/account").await.to_string());
}

#[tokio::test]
async fn patch_changes_only_the_given_fields() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    service.anonymous().sign_up("bob").await;
    let changed = ada.patch("/api/account", r#"{"full_name":" Ada King ","age":37}"#).await;
    expect![[r#"
        200
        {
          "data": {
            "age": 37,
            "created_at": "2026-01-01T00:00:00.000Z",
            "email": "ada@example.com",
            "email_verified": false,
            "full_name": "Ada King",
            "gender": "female",
            "user_id": "[UUIDv7]",
            "username": "ada"
          },
          "message": "Account updated",
          "status": "success"
        }
    "#]]
    .assert_eq(&changed.to_string());
    ada.patch("/api/account", r#"{"gender":"non-binary"}"#).await;
    let account = ada.get("/api/account").await;
    assert_eq!((account.text("full_name"), account.text("gender")), ("Ada King".to_owned(), "non-binary".to_owned()));
    assert_eq!(service.anonymous().sign_in("bob").await.get("/api/account").await.text("full_name"), "Ada Lovelace");
}

#[tokio::test]
async fn an_invalid_patch_changes_nothing() {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    service.anonymous().sign_up("bob").await;
    let before = ada.get("/api/account").await.body;
    for (body, expected) in [
        ("{}", "400 INVALID_REQUEST"),
        (r#"{"nickname":"Ada"}"#, "400 INVALID_REQUEST"),
        (r#"{"age":38,"email":"other@example.com"}"#, "400 INVALID_REQUEST"),
        (r#"{"full_name":"Ada King","age":0}"#, "400 INVALID_AGE"),
        (r#"{"full_name":"Ada King","age":"37"}"#, "400 INVALID_AGE"),
        (r#"{"full_name":"Ada King","age":null}"#, "400 INVALID_REQUEST"),
        (r#"{"full_name":"Ada King","gender":""}"#, "400 GENDER_REQUIRED"),
        (r#"{"full_name":" "}"#, "400 INVALID_REQUEST"),
        (r#"{"full_name":"Ada King","username":"king"}"#, "400 INVALID_REQUEST"),
        (r#"{"full_name":"Ada King","password":"another password"}"#, "400 INVALID_REQUEST"),
        ("[]", "400 INVALID_REQUEST"),
    ] {
        assert_eq!(patch(&ada, body).await, expected, "{body}");
    }
    assert_eq!(ada.get("/api/account").await.body, before);
}

#[tokio::test]
async fn deleting_an_account_removes_its_rows_and_frees_its_username_and_email_address() -> Outcome {
    let service = in_process();
    let (ada, bob) = (service.anonymous().sign_up("ada").await, service.anonymous().sign_up("bob").await);
    let other = service.anonymous().sign_in("ada").await;
    for client in [&ada, &bob] {
        client.store("key", json!("value")).await;
    }
    service.anonymous().at("198.51.100.1").token_for("ada", "a wrong guess").await;
    expect![[r#"
        200
        {
          "message": "Account deleted",
          "status": "success"
        }
    "#]]
    .assert_eq(&ada.delete_with("/api/account", &password_body(password())).await.to_string());

    for client in [&ada, &other] {
        assert_eq!(client.get("/api/data/key").await.outcome(), "401 INVALID_TOKEN");
        assert_eq!(client.store("new", json!(1)).await.outcome(), "401 INVALID_TOKEN");
        assert_eq!(client.get("/api/account").await.outcome(), "401 INVALID_TOKEN");
        let again = client.delete_with("/api/account", &password_body(password())).await;
        assert_eq!(again.outcome(), "401 INVALID_TOKEN");
    }
    assert_eq!(service.anonymous().token_for("ada", password()).await.outcome(), "401 INVALID_CREDENTIALS");
    let database = service.database.connect().await;
    let tables = "select table_name::text from information_schema.tables
        where table_schema = 'public'
            and table_name not in (
                'refinery_schema_history', 'sign_in_failures', 'rate_limits', 'deleted_users', 'mailed_codes', 'announcements',
                'account_events'
            )";
    for row in database.query(tables, &[]).await? {
        let table: String = row.get(0);
        let count = database.query_one(&format!("select count(*) from {table}"), &[]).await?;
        assert_eq!(count.get::<_, i64>(0), 1, "{table} must contain only bob's row");
    }
    let limits = database.query_one("select count(*) from rate_limits", &[]).await?;
    assert_eq!(limits.get::<_, i64>(0), 0, "the limits of the deleted account must be removed");
    let deleted = database.query_one("select count(*) from deleted_users", &[]).await?;
    assert_eq!(deleted.get::<_, i64>(0), 0, "no values of the deleted account remain");
    assert_eq!(bob.get("/api/data/key").await.value_text(), r#""value""#);
    let new = service.anonymous().sign_up("ada").await;
    assert_eq!(new.get("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND");
    Ok(())
}

/// A user may have more values than a slow database deletes within the time limit of a statement (5 s).
#[tokio::test]
async fn an_account_is_deleted_at_once_and_its_values_step_by_step() -> Outcome {
    let service = in_process();
    let (ada, bob) = (service.anonymous().sign_up("ada").await, service.anonymous().sign_up("bob").await);
    ada.store("first", json!(1)).await;
    bob.store("kept", json!(1)).await;
    let database = service.database.connect().await;
    database
        .batch_execute(
            "insert into data_store (user_id, key, value, version, first_version, created_at, updated_at)
            select user_id, 'key-' || number, value, version, version, created_at, updated_at
            from data_store, generate_series(1, 6000) as number where key = 'first';
            create function slow() returns trigger language plpgsql as $$ begin
                perform pg_sleep(0.001);
                return old;
            end $$;
            create trigger slow before delete on data_store for each row execute function slow()",
        )
        .await?;
    let started = Instant::now();
    assert_eq!(ada.delete_with("/api/account", &password_body(password())).await.outcome(), "200");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let remaining = async || -> Result<i64, tokio_postgres::Error> {
        Ok(database.query_one("select count(*) from data_store", &[]).await?.get(0))
    };
    assert!(remaining().await? > 1000, "the request does not wait for all values");
    assert_eq!(ada.get("/api/data/first").await.outcome(), "401 INVALID_TOKEN");
    let again = service.anonymous().sign_up("ada").await;
    assert_eq!(again.get("/api/data/first").await.outcome(), "404 KEY_NOT_FOUND", "another user");
    assert_eq!(again.store("first", json!(2)).await.outcome(), "201");
    assert!(sweep(&service).await?.orphans > 1000);
    assert_eq!(remaining().await?, 2);
    assert_eq!(database.query_one("select count(*) from deleted_users", &[]).await?.get::<_, i64>(0), 0);
    assert_eq!(sweep(&service).await?.orphans, 0);
    assert_eq!(again.get("/api/data/first").await.value_text(), "2");
    assert_eq!(bob.get("/api/data/kept").await.value_text(), "1");
    Ok(())
}

#[tokio::test]
async fn deleting_an_account_requires_the_password() {
    let ada = in_process().anonymous().sign_up("ada").await;
    let wrong_password = ada.delete_with("/api/account", &password_body("wrong")).await;
    expect![[r#"
        403
        {
          "code": "INVALID_CREDENTIALS",
          "message": "The password is wrong.",
          "request_id": "request-1",
          "status": "error"
        }
    "#]]
    .assert_eq(&wrong_password.to_string());
    assert_eq!(ada.delete("/api/account").await.outcome(), "400 INVALID_REQUEST");
    for body in ["{}", r#"{"password":null}"#, r#"{"password":1}"#] {
        assert_eq!(ada.delete_with("/api/account", body).await.outcome(), "400 INVALID_REQUEST", "{body}");
    }
    assert_eq!(ada.get("/api/account").await.status, 200);
}

#[tokio::test]
async fn requests_concurrent_with_the_deletion_of_their_account_leave_no_rows() -> Outcome {
    let service = in_process();
    race_account_deletion(&service).await?;
    assert_no_rows_remain(&service).await
}

/// Forces a rare interleaving of the test above: the write has checked its session and then waits for a lock.
#[tokio::test]
async fn a_write_that_waits_while_its_account_is_deleted_fails() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    let mut database = service.database.connect().await;
    let transaction = database.transaction().await?;
    transaction.execute("select from user_counters for update", &[]).await?;
    let writer = tokio::spawn({
        let ada = ada.clone();
        async move { ada.store("other", json!(2)).await }
    });
    service.database.until_a_statement_waits().await;
    transaction.execute("delete from users", &[]).await?;
    transaction.commit().await?;
    assert_eq!(writer.await?.outcome(), "401 INVALID_TOKEN");
    Ok(())
}
