//! Migrations on PostgreSQL: the schema that they create, repeated runs, and databases of other versions.

use std::collections::BTreeSet;

use expect_test::expect;
use shared::db::Dialect;

use crate::support::scenarios::{run_every_statement, run_every_statement_with_mail};
use crate::support::workspace::migrations;
use crate::support::{
    Database, Outcome, Pooler, Service, database, fake_dsql_database, migration_app, postgresql_16, settings,
};

/// Returns every column, constraint, and index, as the database describes them.
async fn schema(database: &Database) -> Result<String, Box<dyn std::error::Error>> {
    const SQL: &str = "
        select concat_ws(' ', c.table_name, c.column_name, c.data_type, c.collation_name,
                         case c.is_nullable when 'NO' then 'not null' end)
        from information_schema.columns c
        where c.table_schema = current_schema and c.table_name <> 'refinery_schema_history'
        union all
        select concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
        from pg_constraint
        where connamespace = current_schema::regnamespace and contype in ('p', 'u', 'f', 'c')
            and conrelid <> 'refinery_schema_history'::regclass
        union all
        select indexdef from pg_indexes
        where schemaname = current_schema and indexname not in (select conname from pg_constraint)
        order by 1";
    let rows = database.connect().await.query(SQL, &[]).await?;
    Ok(rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect())
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "the whole schema")]
async fn the_schema_is_the_same_on_postgresql_16_and_18() -> Outcome {
    let schema_18 = schema(&database()).await?;
    expect![[r#"
        CREATE INDEX account_events_user ON public.account_events USING btree (user_id, id)
        CREATE INDEX data_store_expiry ON public.data_store USING btree (expires_at, user_id) WHERE (expires_at IS NOT NULL)
        CREATE INDEX mailed_codes_expiry ON public.mailed_codes USING btree (expires_at)
        CREATE INDEX mailed_codes_user ON public.mailed_codes USING btree (user_id)
        CREATE INDEX rate_limits_full_at ON public.rate_limits USING btree (full_at)
        CREATE INDEX sign_in_failures_failed_at ON public.sign_in_failures USING btree (failed_at)
        CREATE INDEX users_password_cost ON public.users USING btree (password_cost)
        account_events account_events_pkey PRIMARY KEY (id)
        account_events account_events_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        account_events by_operator boolean not null
        account_events created_at timestamp with time zone not null
        account_events event text not null
        account_events id uuid not null
        account_events network text
        account_events session_id uuid
        account_events user_agent text
        account_events user_id uuid not null
        announcements announcements_pkey PRIMARY KEY (id)
        announcements created_at timestamp with time zone not null
        announcements id uuid not null
        announcements message text not null
        data_store created_at timestamp with time zone not null
        data_store data_store_pkey PRIMARY KEY (user_id, key)
        data_store expires_at timestamp with time zone
        data_store first_version bigint not null
        data_store key text C not null
        data_store updated_at timestamp with time zone not null
        data_store user_id uuid not null
        data_store value text not null
        data_store version bigint not null
        deleted_users deleted_at timestamp with time zone not null
        deleted_users deleted_users_pkey PRIMARY KEY (user_id)
        deleted_users user_id uuid not null
        known_networks known_networks_pkey PRIMARY KEY (user_id, network)
        known_networks known_networks_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        known_networks network text not null
        known_networks seen_at timestamp with time zone not null
        known_networks user_id uuid not null
        mailed_codes digest bytea not null
        mailed_codes email text
        mailed_codes email_canonical text
        mailed_codes expires_at timestamp with time zone not null
        mailed_codes id uuid not null
        mailed_codes mailed_codes_pkey PRIMARY KEY (id)
        mailed_codes purpose text not null
        mailed_codes user_id uuid
        mailed_codes wrong_tries smallint not null
        rate_limits full_at timestamp with time zone not null
        rate_limits rate_limits_pkey PRIMARY KEY (subject)
        rate_limits subject text not null
        sessions burst_at timestamp with time zone
        sessions created_at timestamp with time zone not null
        sessions current_digest bytea not null
        sessions expires_at timestamp with time zone not null
        sessions family_digest bytea not null
        sessions id uuid not null
        sessions network text
        sessions network_since timestamp with time zone
        sessions older_digest bytea
        sessions older_rotated_at timestamp with time zone
        sessions older_successor bytea
        sessions previous_digest bytea
        sessions refreshed_at timestamp with time zone not null
        sessions refreshes_full_at timestamp with time zone
        sessions sessions_pkey PRIMARY KEY (user_id, id)
        sessions sessions_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        sessions successor bytea
        sessions user_agent text
        sessions user_id uuid not null
        sign_in_failures failed_at timestamp with time zone not null
        sign_in_failures failures integer not null
        sign_in_failures refused boolean not null
        sign_in_failures sign_in_failures_pkey PRIMARY KEY (subject)
        sign_in_failures subject text not null
        sign_in_failures throttled_until timestamp with time zone not null
        user_counters bytes bigint not null
        user_counters bytes_allowed bigint not null
        user_counters keys bigint not null
        user_counters keys_allowed bigint not null
        user_counters user_counters_pkey PRIMARY KEY (user_id)
        user_counters user_counters_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        user_counters user_counters_within_quota CHECK (((keys <= keys_allowed) AND (bytes <= bytes_allowed)))
        user_counters user_id uuid not null
        user_counters version bigint not null
        users age smallint
        users created_at timestamp with time zone not null
        users disabled_at timestamp with time zone
        users email text not null
        users email_canonical text not null
        users email_verified_at timestamp with time zone
        users full_name text
        users gender text
        users id uuid not null
        users password text
        users password_cost smallint not null
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
async fn dsql_has_the_same_schema_without_foreign_keys_and_collations() -> Outcome {
    let (on_dsql, on_postgresql) = (schema(&fake_dsql_database()).await?, schema(&database()).await?);
    let lines = |schema: &str| schema.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (on_dsql, on_postgresql) = (lines(&on_dsql), lines(&on_postgresql));
    let removed = on_postgresql.difference(&on_dsql).map(|line| format!("- {line}\n"));
    let added = on_dsql.difference(&on_postgresql).map(|line| format!("+ {line}\n"));
    expect![[r#"
        - CREATE INDEX account_events_user ON public.account_events USING btree (user_id, id)
        - CREATE INDEX data_store_expiry ON public.data_store USING btree (expires_at, user_id) WHERE (expires_at IS NOT NULL)
        - CREATE INDEX mailed_codes_expiry ON public.mailed_codes USING btree (expires_at)
        - CREATE INDEX mailed_codes_user ON public.mailed_codes USING btree (user_id)
        - CREATE INDEX rate_limits_full_at ON public.rate_limits USING btree (full_at)
        - CREATE INDEX sign_in_failures_failed_at ON public.sign_in_failures USING btree (failed_at)
        - CREATE INDEX users_password_cost ON public.users USING btree (password_cost)
        - account_events account_events_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        - data_store key text C not null
        - known_networks known_networks_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        - sessions sessions_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        - user_counters user_counters_user_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
        + CREATE INDEX account_events_user ON keyhold.account_events USING btree (user_id, id)
        + CREATE INDEX data_store_expiry ON keyhold.data_store USING btree (expires_at, user_id)
        + CREATE INDEX mailed_codes_expiry ON keyhold.mailed_codes USING btree (expires_at)
        + CREATE INDEX mailed_codes_user ON keyhold.mailed_codes USING btree (user_id)
        + CREATE INDEX rate_limits_full_at ON keyhold.rate_limits USING btree (full_at)
        + CREATE INDEX sign_in_failures_failed_at ON keyhold.sign_in_failures USING btree (failed_at)
        + CREATE INDEX users_password_cost ON keyhold.users USING btree (password_cost)
        + data_store key text not null
    "#]].assert_eq(&removed.chain(added).collect::<String>());
    Ok(())
}

#[tokio::test]
async fn every_statement_runs_on_postgresql_16() -> Outcome {
    let service = Service::new(postgresql_16(), settings());
    run_every_statement(&service).await?;
    run_every_statement_with_mail(&service).await
}

#[tokio::test]
async fn a_second_run_applies_nothing() -> Outcome {
    let database = database();
    assert!(migrate::run(migration_app(database.url())).await.map_err(|error| error.to_string())?.applied.is_empty());
    Ok(())
}

#[tokio::test]
async fn concurrent_runs_apply_each_migration_once() -> Outcome {
    let database = database();
    database.connect().await.batch_execute("drop schema public cascade; create schema public").await?;
    let (first, second) =
        tokio::join!(migrate::run(migration_app(database.url())), migrate::run(migration_app(database.url())));
    let mut applied = [first, second].map(|report| report.map_or(99, |report| report.applied.len()));
    applied.sort_unstable();
    assert_eq!(applied, [0, migrations(Dialect::PostgreSql)?.len()]);
    Ok(())
}

#[tokio::test]
async fn a_database_of_other_files_is_rejected() -> Outcome {
    let database = database();
    let client = database.connect().await;
    let mut messages = String::new();
    for change in ["name = 'postgresql' where version = 5", "checksum = '1' where version = 1"] {
        client.batch_execute(&format!("update refinery_schema_history set {change}")).await?;
        let error = migrate::run(migration_app(database.url())).await.err().ok_or("the run succeeded")?;
        messages.extend([&error.to_string(), "\n"]);
    }
    expect![[r#"
        this database was migrated with a file V5__postgresql that differs from the file of this version. Use a new database. On a development machine, `cargo dev --fresh` creates one
        this database was migrated with a file V1__users that differs from the file of this version. Use a new database. On a development machine, `cargo dev --fresh` creates one
    "#]]
    .assert_eq(&messages);
    Ok(())
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_accepted() -> Outcome {
    let database = database();
    let newer = "insert into refinery_schema_history values (999, 'newer', '2026-01-01T00:00:00Z', '1')";
    database.connect().await.batch_execute(newer).await?;
    let report = migrate::run(migration_app(database.url())).await.map_err(|error| error.to_string())?;
    assert!(report.applied.is_empty(), "a deployment can be rolled back");
    Ok(())
}

/// Another client could get the server connection that holds the lock, and then no further run would ever get it.
#[tokio::test]
async fn a_run_through_a_connection_pooler_is_rejected_and_leaves_no_lock() -> Outcome {
    let database = database();
    let pooler = Pooler::with_invented_process_ids(database.port()).await;
    for _ in 0..3 {
        let error = migrate::run(database.through(pooler.port()).migration_app()).await.expect_err("a rejection");
        assert!(error.to_string().contains("leads to a connection pooler"), "{error}");
    }
    const LOCKS: &str = "
        select from pg_locks
        where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())";
    let locks = database.connect().await.query(LOCKS, &[]).await?;
    assert_eq!(locks.len(), 0);
    migrate::run(database.migration_app()).await.map_err(|error| error.to_string())?;
    Ok(())
}

#[tokio::test]
async fn a_database_with_another_encoding_is_rejected_and_not_ready() -> Outcome {
    let database = database();
    let superuser = database.connect().await;
    superuser.batch_execute("create database latin encoding 'LATIN1' template template0").await?;
    let latin = Database::at(&sibling(database.url(), "latin"));
    let error = migrate::run(latin.migration_app()).await.expect_err("a rejection");
    expect![[r#"
        the database has the encoding LATIN1, which lacks most characters. Create a database with the encoding UTF8, for example `create database keyhold encoding 'UTF8' template template0`"#]]
    .assert_eq(&error.to_string());
    let ready = Service::new(latin, settings()).anonymous().get("/api/health/ready").await;
    superuser.batch_execute("drop database latin with (force)").await?;
    assert_eq!(ready.outcome(), "503 SERVICE_UNAVAILABLE");
    Ok(())
}

/// Returns the address of another database on the same server.
fn sibling(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a database in the address");
    format!("{server}/{name}")
}
