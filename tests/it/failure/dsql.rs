//! The service on `FakeDsql`: without rejected statements, without foreign keys, and within the limits of a
//! transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio_postgres::Client as Superuser;

use crate::support::scenarios::{
    assert_no_rows_remain, race_account_deletion, run_every_statement, run_every_statement_with_mail, sweep,
};
use crate::support::{Client, Database, Outcome, Service, fake_dsql_database, password, race, settings};

/// The tables with data of users.
const TABLES: [&str; 7] =
    ["users", "sessions", "data_store", "user_counters", "sign_in_failures", "account_events", "deleted_users"];

/// The number of rows of each table that is not empty.
async fn rows(database: &Database) -> Result<BTreeMap<&'static str, i64>, tokio_postgres::Error> {
    let client = database.connect().await;
    let mut rows = BTreeMap::new();
    for table in TABLES {
        let count = client.query_one(&format!("select count(*) from {table}"), &[]).await?.get(0);
        if count > 0 {
            rows.insert(table, count);
        }
    }
    Ok(rows)
}

/// Stores `values` more values of `bytes` bytes each for the user of the key `first`.
async fn store_many(database: &Superuser, values: i32, bytes: i32) -> Result<(), tokio_postgres::Error> {
    // One transaction stores all of them. The disabled triggers enforce the limits of DSQL.
    database.batch_execute("alter table data_store disable trigger user").await?;
    let many = format!(
        "insert into data_store (user_id, key, value, version, first_version, created_at, updated_at)
        select user_id, 'key-' || number, to_json(repeat('x', {bytes}))::text, 1, 1, created_at, updated_at
        from data_store, generate_series(1, {values}) as number where key = 'first'"
    );
    database.batch_execute(&many).await?;
    database.batch_execute("alter table data_store enable trigger user").await
}

async fn delete_account(client: &Client) -> String {
    let body = json!({ "password": password() }).to_string();
    client.delete_with("/api/account", &body).await.outcome()
}

#[tokio::test]
async fn every_statement_runs_and_none_is_rejected() -> Outcome {
    let service = Service::new(fake_dsql_database(), settings());
    run_every_statement(&service).await?;
    run_every_statement_with_mail(&service).await?;
    assert_eq!(service.database.rejections(), [""; 0]);
    let left = rows(&service.database).await?;
    assert_eq!(left, [("sign_in_failures", 1)].into(), "only the failures of an unknown account are left");
    Ok(())
}

#[tokio::test]
async fn concurrent_refreshes_return_the_same_refresh_token() -> Outcome {
    let service = Service::new(fake_dsql_database(), settings());
    service.anonymous().sign_up("ada").await;
    let token = service.anonymous().token_for("ada", password()).await.text("refresh_token");
    let outcomes = race(6, |_| {
        let (client, token) = (service.anonymous(), token.clone());
        async move { client.refresh(&token).await }
    })
    .await;
    assert_eq!(outcomes, [("200".to_owned(), 6)].into());
    let successor = service.anonymous().refresh(&token).await.text("refresh_token");
    service.clock.advance(Duration::from_hours(24));
    assert_eq!(service.anonymous().refresh(&successor).await.outcome(), "200");
    assert_eq!(service.anonymous().refresh(&token).await.outcome(), "401 INVALID_TOKEN");
    assert_eq!(rows(&service.database).await?["sessions"], 1, "only the session of the sign-up must remain");
    assert_eq!(service.database.rejections(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn an_account_is_deleted_regardless_of_how_much_it_has_stored() -> Outcome {
    let service = Service::new(fake_dsql_database(), settings());
    for (values, bytes) in [(3500, 10), (60, 250_000)] {
        let ada = service.anonymous().sign_up("ada").await;
        let bob = service.anonymous().sign_up("bob").await;
        for client in [&ada, &bob] {
            assert_eq!(client.store("kept", json!(1)).await.outcome(), "201");
        }
        assert_eq!(ada.store("first", json!(1)).await.outcome(), "201");
        store_many(&service.database.connect().await, values, bytes).await?;
        assert_eq!(delete_account(&ada).await, "200");
        assert_eq!(ada.get("/api/data/kept").await.outcome(), "401 INVALID_TOKEN");
        assert_eq!(bob.get("/api/data/kept").await.value_text(), "1");
        sweep(&service).await?;
        let bobs = [("users", 1), ("sessions", 1), ("data_store", 1), ("user_counters", 1), ("account_events", 2)];
        assert_eq!(rows(&service.database).await?, bobs.into());
        assert_eq!(delete_account(&bob).await, "200");
    }
    assert_eq!(service.database.rejections(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn writes_that_race_the_deletion_of_their_account_leave_no_rows() -> Outcome {
    let service = Service::new(fake_dsql_database(), settings());
    race_account_deletion(&service).await?;
    assert_no_rows_remain(&service).await?;
    assert_eq!(service.database.rejections(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn expired_values_are_removed_regardless_of_their_number_and_size() -> Outcome {
    let mut settings = settings();
    settings.quota.keys = 3501;
    let service = Service::new(fake_dsql_database(), settings);
    let ada = service.anonymous().sign_up("ada").await;
    let database = service.database.connect().await;
    for (values, bytes) in [(3500, 10), (60, 250_000)] {
        assert_eq!(ada.store("first", json!(1)).await.outcome(), "201");
        store_many(&database, values, bytes).await?;
        database
            .batch_execute(
                "update data_store set expires_at = created_at + interval '1 hour' where key = 'first';
                alter table data_store disable trigger user;
                update data_store set expires_at = created_at + interval '1 hour';
                update user_counters set keys = (select count(*) from data_store);
                alter table data_store enable trigger user",
            )
            .await?;
        service.clock.advance(Duration::from_secs(3601));
        let ada = service.anonymous().sign_in("ada").await;
        if values == 3500 {
            assert_eq!(ada.store("new", json!(1)).await.outcome(), "201", "room is made for a write");
            assert_eq!(ada.delete("/api/data/new").await.outcome(), "200");
        }
        let report = sweep(&service).await?;
        assert!(report.finished && report.removed > 60, "{report:?}");
        assert!(!rows(&service.database).await?.contains_key("data_store"));
    }
    assert_eq!(service.database.rejections(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn conflicting_requests_are_served() -> Outcome {
    let service = Service::new(fake_dsql_database(), settings());
    let ada = service.anonymous().sign_up("ada").await;
    for round in 0..3 {
        let outcomes = race(8, |index| {
            let ada = ada.clone();
            async move { ada.put(&format!("/api/data/key-{index}?upsert=true"), r#"{"value":1}"#).await }
        })
        .await;
        let served = if round == 0 { "201" } else { "200" };
        assert_eq!(outcomes, [(served.to_owned(), 8)].into());
    }
    let usage = "select keys, (select count(*) from data_store) from user_counters";
    let row = service.database.connect().await.query_one(usage, &[]).await?;
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (8, 8));
    Ok(())
}

/// DSQL detects conflicts at the commit, which for a single statement is after its rows.
#[tokio::test]
async fn a_statement_that_conflicts_at_its_commit_is_retried() -> Outcome {
    let service = Service::new(fake_dsql_database(), settings());
    let ada = service.anonymous().sign_up("ada").await;
    let database = service.database.connect().await;
    database
        .batch_execute(
            "create sequence public.commits;
            grant usage on schema public to public;
            grant all on sequence public.commits to public;
            create function public.fail() returns trigger language plpgsql as $$ begin
                if nextval('public.commits') <= 5 then
                    raise exception 'change conflicts with another transaction (OC000)' using errcode = '40001';
                end if;
                return new;
            end $$;
            create constraint trigger fail after insert or update on user_counters deferrable initially deferred
            for each row execute function public.fail()",
        )
        .await?;
    assert_eq!(ada.store("key", json!(1)).await.outcome(), "201");
    database.batch_execute("alter sequence public.commits restart").await?;
    let batch = json!({ "operations": [{ "op": "create", "key": "other", "value": 2 }] }).to_string();
    assert_eq!(ada.post("/api/data/batch", &batch).await.outcome(), "200");
    database.batch_execute("alter sequence public.commits minvalue -99 restart with -99").await?;
    assert_eq!(
        ada.store("third", json!(1)).await.outcome(),
        "503 SERVICE_UNAVAILABLE",
        "the number of retries is limited"
    );
    Ok(())
}
