use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use serde_json::json;

use crate::data_sweep_::sweep;
use crate::support::{Database, Forged, Outcome, Service, database, migration_app, password, postgresql_16, settings};

/// Every table, column and constraint, as the database itself describes them.
async fn schema(database: &Database) -> Result<String, Box<dyn std::error::Error>> {
    const SQL: &str = "
        select concat_ws(' ', c.table_name, c.column_name, c.data_type, c.collation_name,
                         case c.is_nullable when 'NO' then 'not null' end)
        from information_schema.columns c
        where c.table_schema = 'public' and c.table_name <> 'refinery_schema_history'
        union all
        select concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
        from pg_constraint
        where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f', 'c')
            and conrelid <> 'refinery_schema_history'::regclass
        union all
        select indexdef from pg_indexes
        where schemaname = 'public' and indexname not in (select conname from pg_constraint)
        order by 1";
    let rows = database.connect().await.query(SQL, &[]).await?;
    Ok(rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect())
}

#[tokio::test]
async fn the_schema_is_the_same_on_both_versions() -> Outcome {
    let schema_18 = schema(&database()).await?;
    expect![[r#"
        CREATE INDEX data_store_expiry ON public.data_store USING btree (expires_at, user_id) WHERE (expires_at IS NOT NULL)
        data_clock data_clock_pkey PRIMARY KEY (user_id)
        data_clock data_clock_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        data_clock user_id uuid not null
        data_clock version bigint not null
        data_store created_at timestamp with time zone not null
        data_store data_store_pkey PRIMARY KEY (user_id, key)
        data_store data_store_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        data_store expires_at timestamp with time zone
        data_store first_version bigint not null
        data_store key text C not null
        data_store replaced_bytes integer
        data_store updated_at timestamp with time zone not null
        data_store user_id uuid not null
        data_store value text not null
        data_store version bigint not null
        data_usage bytes bigint not null
        data_usage bytes_allowed bigint not null
        data_usage data_usage_pkey PRIMARY KEY (user_id)
        data_usage data_usage_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        data_usage data_usage_within_quota CHECK (((keys <= keys_allowed) AND (bytes <= bytes_allowed)))
        data_usage keys bigint not null
        data_usage keys_allowed bigint not null
        data_usage user_id uuid not null
        refresh_tokens consumed_at timestamp with time zone
        refresh_tokens digest text not null
        refresh_tokens issued_at timestamp with time zone not null
        refresh_tokens refresh_tokens_pkey PRIMARY KEY (digest)
        refresh_tokens refresh_tokens_session_fkey FOREIGN KEY (user_id, session_id) REFERENCES sessions(user_id, id) ON DELETE CASCADE
        refresh_tokens refresh_tokens_session_key UNIQUE (user_id, session_id, digest)
        refresh_tokens session_id uuid not null
        refresh_tokens successor text
        refresh_tokens successor_digest text
        refresh_tokens user_id uuid not null
        sessions created_at timestamp with time zone not null
        sessions expires_at timestamp with time zone not null
        sessions id uuid not null
        sessions network text
        sessions refreshed_at timestamp with time zone not null
        sessions sessions_pkey PRIMARY KEY (user_id, id)
        sessions sessions_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        sessions user_agent text
        sessions user_id uuid not null
        sign_in_failures blocked_until timestamp with time zone not null
        sign_in_failures failed_at timestamp with time zone not null
        sign_in_failures failures integer not null
        sign_in_failures id uuid not null
        sign_in_failures origin text not null
        sign_in_failures refused boolean not null
        sign_in_failures sign_in_failures_failed_at_key UNIQUE (failed_at, id)
        sign_in_failures sign_in_failures_pkey PRIMARY KEY (subject, origin)
        sign_in_failures subject text not null
        users age smallint not null
        users created_at timestamp with time zone not null
        users email text not null
        users email_canonical text not null
        users full_name text not null
        users gender text not null
        users id uuid not null
        users password text not null
        users username text not null
        users username_canonical text not null
        users users_email_key UNIQUE (email_canonical)
        users users_pkey PRIMARY KEY (id)
        users users_username_key UNIQUE (username_canonical)
    "#]].assert_eq(&schema_18);
    assert_eq!(schema(&postgresql_16()).await?, schema_18);
    Ok(())
}

#[tokio::test]
async fn every_statement_runs_on_the_older_version_too() -> Outcome {
    every_statement(&Service::new(postgresql_16(), settings())).await
}

/// Has the service run each of its statements.
pub async fn every_statement(service: &Arc<Service>) -> Outcome {
    let ada = service.anybody().sign_up("ada").await;
    let value = r#"{"value":2}"#;
    assert_eq!(ada.store("key", json!(1)).await.outcome(), "201");
    assert_eq!(ada.store("key", json!(1)).await.outcome(), "409 KEY_EXISTS");
    assert_eq!(ada.put("/api/data/key", value).await.value_text(), "2");
    assert_eq!(ada.put("/api/data/other?upsert=true", value).await.outcome(), "201");
    assert_eq!(ada.put("/api/data/other?upsert=true", value).await.outcome(), "200");
    assert_eq!(ada.put("/api/data/none", value).await.outcome(), "404 KEY_NOT_FOUND");
    let guarded = ada.clone().with_header("if-match", "\"1\"");
    assert_eq!(guarded.put("/api/data/key", value).await.outcome(), "412 PRECONDITION_FAILED");
    assert_eq!(guarded.delete("/api/data/key").await.outcome(), "412 PRECONDITION_FAILED");
    assert_eq!(ada.get("/api/data/key").await.value_text(), "2");
    assert_eq!(ada.delete("/api/data/key").await.outcome(), "200");
    assert_eq!(ada.get("/api/data/key").await.outcome(), "404 KEY_NOT_FOUND");

    assert_eq!(ada.get("/api/data?values=true&prefix=o").await.json()["data"]["items"][0]["value"], 2);
    let batch = json!({ "operations": [
        { "op": "put", "key": "other", "value": 3, "expires_in": 10 },
        { "op": "create", "key": "more", "value": 4 },
    ] });
    assert_eq!(ada.post("/api/data/batch", &batch.to_string()).await.outcome(), "200");
    assert_eq!(ada.get("/api/account/export").await.json()["data"]["operations"][1]["expires_in"], 10);
    service.clock.advance(Duration::from_secs(10));
    assert_eq!(sweep(service).await?.removed, 1);

    let tokens = service.anybody().token_for("ada", password()).await;
    for _ in 0..2 {
        assert_eq!(service.anybody().refresh(&tokens.text("refresh_token")).await.outcome(), "200");
    }
    let revoke = json!({ "refresh_token": tokens.text("refresh_token") }).to_string();
    assert_eq!(service.anybody().post("/api/token/revoke", &revoke).await.outcome(), "200");
    for expected in ["401 INVALID_CREDENTIALS"; 5].into_iter().chain(["429 TOO_MANY_ATTEMPTS"]) {
        assert_eq!(service.anybody().token_for("nobody", "a wrong guess").await.outcome(), expected);
    }
    assert_eq!(ada.get("/api/sessions").await.json()["data"]["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!(ada.patch("/api/account", r#"{"age":50}"#).await.outcome(), "200");
    let change = json!({ "current_password": password(), "new_password": "another password" }).to_string();
    assert_eq!(ada.put("/api/account/password", &change).await.outcome(), "200");
    let other = service.anybody().token_for("ada", "another password").await;
    let other = service.anybody().with_token(&other.text("access_token"));
    let id = Forged::from(&other.token()).claims()["sid"].as_str().unwrap_or_default().to_owned();
    assert_eq!(ada.delete(&format!("/api/sessions/{id}")).await.outcome(), "200");
    let again = service.anybody().token_for("ada", "another password").await;
    let again = service.anybody().with_token(&again.text("access_token"));
    let delete = json!({ "password": "another password" }).to_string();
    assert_eq!(again.delete("/api/sessions").await.outcome(), "200");
    assert_eq!(ada.delete_with("/api/account", &delete).await.outcome(), "401 INVALID_TOKEN");
    let last = service.anybody().token_for("ada", "another password").await;
    let last = service.anybody().with_token(&last.text("access_token"));
    assert_eq!(last.delete_with("/api/account", &delete).await.outcome(), "200");
    Ok(())
}

#[tokio::test]
async fn a_second_run_does_nothing() -> Outcome {
    let database = database();
    assert!(migrate::run(migration_app(database.url())).await.map_err(|error| error.to_string())?.applied.is_empty());
    Ok(())
}

#[tokio::test]
async fn two_runs_at_once_apply_everything_once() -> Outcome {
    let database = database();
    database.connect().await.batch_execute("drop schema public cascade; create schema public").await?;
    let (first, second) =
        tokio::join!(migrate::run(migration_app(database.url())), migrate::run(migration_app(database.url())));
    let mut applied = [first, second].map(|report| report.map(|report| report.applied.len()).unwrap_or(99));
    applied.sort_unstable();
    assert_eq!(applied, [0, 11]);
    Ok(())
}
