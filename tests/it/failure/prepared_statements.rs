//! Prepared statements: when they are used, and what happens if the server does not have them any more.

use serde_json::json;

use crate::support::{Outcome, Pooler, Service, database, in_process, password, registration, settings};

#[tokio::test]
async fn a_statement_is_prepared_once_for_each_connection() {
    let database = database();
    let proxy = Pooler::transparent(database.port()).await;
    let service = Service::new(database.through(proxy.port()), settings());
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(1)).await;
    let before = proxy.prepared();
    for _ in 0..10 {
        assert_eq!(ada.get("/api/data/key").await.value_text(), "1");
    }
    assert_eq!(proxy.prepared() - before, 1, "ten requests prepare the statement once");
}

#[tokio::test]
async fn nothing_is_prepared_behind_a_pooler() {
    let database = database();
    let pooler = Pooler::with_invented_process_ids(database.port()).await;
    let service = Service::new(database.through(pooler.port()), settings());
    let ada = service.anonymous().sign_up("ada").await;
    for number in 0..3 {
        assert_eq!(ada.put("/api/data/key?upsert=true", &json!({ "value": number }).to_string()).await.status / 100, 2);
        assert_eq!(ada.get("/api/data/key").await.value_text(), number.to_string());
    }
    let operations = r#"{"operations":[{"op":"put","key":"key","value":3},{"op":"get","key":"other"}]}"#;
    assert_eq!(ada.post("/api/data/batch", operations).await.outcome(), "404 KEY_NOT_FOUND");
    assert_eq!(pooler.prepared(), 0);
}

#[tokio::test]
async fn a_lost_statement_is_executed_without_preparation() {
    let database = database();
    let pooler = Pooler::transparent(database.port()).await;
    let service = Service::new(database.through(pooler.port()), settings());
    let ada = service.anonymous().sign_up("ada").await;
    ada.store("key", json!(0)).await;
    let change = |value: i32| json!({ "value": value }).to_string();
    let batch = |value: i32| json!({ "operations": [{ "op": "put", "key": "key", "value": value }] }).to_string();
    let new_password = |from: &str, to: &str| json!({ "current_password": from, "new_password": to }).to_string();
    // The first statement on a connection is not prepared.
    for _ in 0..2 {
        assert_eq!(ada.get("/api/data/key").await.value_text(), "0");
    }
    assert_eq!(ada.put("/api/data/key", &change(1)).await.outcome(), "200");
    assert_eq!(ada.post("/api/data/batch", &batch(2)).await.outcome(), "200");
    let first_change = new_password(password(), "another password");
    let changed = ada.put("/api/account/password", &first_change).await;
    assert_eq!(changed.outcome(), "200");
    let ada = ada.with_token(&changed.text("access_token"));

    pooler.forget_statements();
    assert_eq!(ada.get("/api/data/key").await.value_text(), "2");
    pooler.forget_statements();
    assert_eq!(ada.put("/api/data/key", &change(3)).await.outcome(), "200");
    pooler.forget_statements();
    assert_eq!(ada.post("/api/data/batch", &batch(4)).await.outcome(), "200");
    pooler.forget_statements();
    let second_change = new_password("another password", password());
    let changed = ada.put("/api/account/password", &second_change).await;
    assert_eq!(changed.outcome(), "200");
    let ada = ada.with_token(&changed.text("access_token"));

    let entry = ada.get("/api/data/key").await.json();
    assert_eq!(entry["data"]["value"], 4);
    assert_eq!(entry["data"]["version"], 5, "each write was done once");
    assert_eq!(service.anonymous().token_for("ada", password()).await.outcome(), "200");
    let before = pooler.prepared();
    for _ in 0..3 {
        assert_eq!(ada.get("/api/data/key").await.value_text(), "4");
    }
    assert_eq!(pooler.prepared(), before, "the function does not prepare statements any more");
}

#[tokio::test]
async fn a_statement_is_prepared_again_after_its_columns_have_changed() -> Outcome {
    let service = in_process();
    let ada = service.anonymous().sign_up("ada").await;
    for _ in 0..3 {
        assert_eq!(ada.get("/api/account").await.outcome(), "200");
    }
    let owner = service.database.connect().await;
    owner.batch_execute("alter table users alter column gender type varchar(1000)").await?;
    for _ in 0..3 {
        assert_eq!(ada.get("/api/account").await.outcome(), "200");
    }
    Ok(())
}

/// After five executions PostgreSQL may use a plan that does not depend on the parameters. Every statement must then still find
/// its rows by an index.
#[tokio::test]
async fn generic_plans_read_tables_by_index_only() -> Outcome {
    let service = in_process();
    let loader = service.database.connect().await;
    let name: String = loader.query_one("select quote_ident(current_database())", &[]).await?.get(0);
    loader.batch_execute(&format!("alter database {name} set plan_cache_mode = force_generic_plan")).await?;
    let bob = service.anonymous().sign_up("bob").await;
    bob.store("key", json!(1)).await;
    loader
        .batch_execute(
            "insert into users (id, username, username_canonical, email, email_canonical, password, password_cost, full_name, age,
                 gender, created_at)
             select gen_random_uuid(), n, n, n || '@example.com', n || '@example.com', password, 4, full_name, age, gender, created_at
             from users, generate_series(1, 5000) n;
             insert into sessions (user_id, id, created_at, refreshed_at, expires_at, family_digest, current_digest)
             select u.id, gen_random_uuid(), s.created_at, s.refreshed_at, s.expires_at, s.family_digest, s.current_digest
             from users u, sessions s
             on conflict do nothing;
             insert into data_store (user_id, key, value, version, first_version, created_at, updated_at)
             select u.id, 'key-' || n, '1', 1, 1, u.created_at, u.created_at from users u, generate_series(1, 4) n;
             insert into known_networks (user_id, network, seen_at)
             select id, '192.0.2.' || n, created_at from users, generate_series(1, 4) n;
             insert into rate_limits (subject, full_at)
             select 'failures ' || id, created_at + interval '1 minute' from users;
             insert into user_counters (user_id, version, keys, bytes, keys_allowed, bytes_allowed)
             select id, 4, 4, 24, 1000, 1000000 from users on conflict do nothing;
             analyze users; analyze sessions; analyze data_store; analyze user_counters;",
        )
        .await?;
    let ada = service.anonymous().sign_up("ada").await;
    // A page of a prefix must not read the keys that follow.
    loader
        .execute(
            "insert into data_store (user_id, key, value, version, first_version, created_at, updated_at)
             select id, 'other-' || n, '1', n, n, created_at, created_at from users, generate_series(1, 2000) n
             where username_canonical = 'ada'",
            &[],
        )
        .await?;
    // Existing connections have the old setting. All of them add the rows that they have read to the statistics when they end.
    let database = service.database.connect().await;
    let end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    database.query(end, &[]).await?;
    database.query("select pg_stat_reset()", &[]).await?;

    for round in 0..3 {
        let key = format!("/api/data/key-{round}");
        assert_eq!(ada.put(&format!("{key}?upsert=true"), r#"{"value":1}"#).await.outcome(), "201");
        assert_eq!(ada.get(&key).await.outcome(), "200");
        assert_eq!(ada.put(&key, r#"{"value":2}"#).await.outcome(), "200");
        assert_eq!(ada.get("/api/data?prefix=key&limit=100&values=true").await.outcome(), "200");
        assert_eq!(ada.get("/api/data?prefix=key&limit=100").await.outcome(), "200");
        assert_eq!(ada.get("/api/data?limit=10").await.outcome(), "200");
        let batch = r#"{"operations":[{"op":"put","key":"batch","value":1,"upsert":true},{"op":"get","key":"key-0"}]}"#;
        assert_eq!(ada.post("/api/data/batch", batch).await.outcome(), "200");
        assert_eq!(ada.get("/api/account").await.outcome(), "200");
        assert_eq!(ada.get("/api/sessions").await.outcome(), "200");
        assert_eq!(ada.patch("/api/account", &json!({ "age": 40 + round }).to_string()).await.outcome(), "200");
        let tokens = service.anonymous().token_for("ada", password()).await;
        for _ in 0..2 {
            assert_eq!(service.anonymous().refresh(&tokens.text("refresh_token")).await.outcome(), "200");
        }
        assert_eq!(service.anonymous().token_for("ada", "a wrong guess").await.outcome(), "401 INVALID_CREDENTIALS");
        let other = registration(&format!("other{round}")).body();
        assert_eq!(service.anonymous().post("/api/register", &other).await.outcome(), "201");
    }
    assert_eq!(ada.delete("/api/data/key-1").await.outcome(), "200");

    database.query(end, &[]).await?;
    let scans = "select relname::text, seq_scan, idx_tup_fetch from pg_stat_user_tables
        where relname in ('users', 'sessions', 'data_store', 'user_counters') order by relname";
    for row in database.query(scans, &[]).await? {
        let (table, scans, rows): (String, i64, Option<i64>) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(scans, 0, "{table} was read from start to end");
        assert!(rows.unwrap_or_default() < 500, "{rows:?} rows of {table} were read");
    }
    Ok(())
}
