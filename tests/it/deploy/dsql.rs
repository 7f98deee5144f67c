//! Migrations and roles on Aurora DSQL, as far as a PostgreSQL can behave like it.

use serde_json::{Value, json};
use shared::db::Dialect;
use shared::db::admin::roles::GRANTS;
use tokio_postgres::Client as Superuser;

use crate::support::custom_resource;
use crate::support::sql::{contains, refused, statements};
use crate::support::workspace::migrations;
use crate::support::{Database, Outcome, ResponseUrl, database, database_like_dsql};

/// The migrations that the history has.
async fn noted(database: &Superuser) -> Result<Vec<i32>, tokio_postgres::Error> {
    let rows = database.query("select version from refinery_schema_history order by version", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn migrate_(database: &Database) -> Result<migrate::Report, String> {
    migrate::run(database.migration_app()).await.map_err(|error| format!("{error:?}"))
}

async fn emptied() -> Result<Database, tokio_postgres::Error> {
    let database = database_like_dsql();
    database.connect().await.batch_execute("drop schema keyhold cascade").await?;
    Ok(database)
}

#[tokio::test]
async fn migrations_run_one_by_one_and_an_interrupted_run_is_gone_on_with() -> Outcome {
    let database = emptied().await?;
    let report = migrate_(&database).await?;
    assert_eq!(report.applied.len(), 10);
    assert_eq!(report.applied.last().map(String::as_str), Some("V12__data_store_expiry_dsql"));
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let client = database.connect().await;
    let all = noted(&client).await?;
    assert_eq!(all, [1, 2, 3, 4, 5, 6, 8, 9, 10, 12]);
    let again = migrate_(&database).await?;
    assert!(again.applied.is_empty() && again.roles.is_empty() && again.problems.is_empty(), "{again:?}");

    // A run that died after a statement and before it was noted, wherever that was.
    for version in [1, 8, 12] {
        client.execute("delete from refinery_schema_history where version = $1", &[&version]).await?;
        assert_eq!(migrate_(&database).await?.applied.len(), 1, "{version}");
        assert_eq!(noted(&client).await?, all);
    }
    client.batch_execute("drop table refinery_schema_history").await?;
    assert_eq!(migrate_(&database).await?.applied.len(), 10);

    client.batch_execute("update refinery_schema_history set checksum = '1' where version = 4").await?;
    let failed = migrate_(&database).await.err().ok_or("it has another V4")?;
    assert!(failed.contains("Divergent"), "{failed}");
    assert_eq!(database.refusals(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn refinery_reads_the_history() -> Outcome {
    let (database, postgresql) = (database_like_dsql(), database());
    let client = database.connect().await;
    // As `migrate` on PostgreSQL notes them: the digests are the same.
    let theirs = "select version, name, checksum from refinery_schema_history where version not in (7, 11) order by 1";
    let ours = "select version, name, checksum from refinery_schema_history where version <> 12 order by 1";
    let read = |rows: Vec<tokio_postgres::Row>| -> Vec<(i32, String, String)> {
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    };
    let theirs = read(postgresql.connect().await.query(theirs, &[]).await?);
    assert_eq!(read(client.query(ours, &[]).await?), theirs);
    let shape = "select column_name::text, udt_name::text, character_maximum_length from information_schema.columns
        where table_name = 'refinery_schema_history' order by 1";
    let shape_of = |rows: Vec<tokio_postgres::Row>| -> Vec<(String, String, Option<i32>)> {
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    };
    let theirs = shape_of(postgresql.connect().await.query(shape, &[]).await?);
    assert_eq!(shape_of(client.query(shape, &[]).await?), theirs);
    Ok(())
}

#[tokio::test]
async fn two_runs_at_once_apply_everything_once() -> Outcome {
    let database = emptied().await?;
    let (first, second) = tokio::join!(migrate_(&database), migrate_(&database));
    let mut applied = first?.applied;
    applied.extend(second?.applied);
    applied.sort_unstable();
    applied.dedup();
    assert_eq!(applied.len(), 10, "{applied:?}");
    assert_eq!(noted(&database.connect().await).await?.len(), 10);
    Ok(())
}

#[tokio::test]
async fn roles_of_iam_are_let_in_as_the_deployment_says() -> Outcome {
    let database = database_like_dsql();
    let arn = "arn:aws:iam::123456789012:role/keyhold-DataGetRole-1A2B";
    let run = |role: &str, arn: &str| {
        let iam_roles = [(role.to_owned(), vec![arn.to_owned()])].into();
        let app = database.migration_app();
        async move { migrate::run_and_let_in(app, &iam_roles).await.map_err(|error| error.to_string()) }
    };
    let report = run("keyhold_reader", arn).await?;
    assert_eq!(report.roles, [format!("aws iam grant keyhold_reader to '{arn}'")]);
    assert!(run("keyhold_reader", arn).await?.roles.is_empty(), "a second time there is nothing to do");
    let let_in = database.connect().await.query("select * from sys.iam_pg_role_mappings", &[]).await?;
    assert_eq!((let_in[0].get(0), let_in[0].get(1), let_in.len()), ("keyhold_reader", arn, 1));
    for (role, arn) in [("admin", arn), ("keyhold_reader", "arn:aws:iam::1:role/x'; drop table users; --")] {
        let failed = run(role, arn).await.err().ok_or("no such role")?;
        assert!(failed.contains("DatabaseRoles maps"), "{failed}");
    }
    assert_eq!(database.refusals(), [""; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_on_dsql_migrates_and_lets_its_functions_in() -> Outcome {
    let database = emptied().await?;
    let url = database.as_seen();
    let function = custom_resource::migrate(&[("DATABASE_URL", &url), ("DATABASE_AUTH", "dsql")])?;
    let arn = "arn:aws:iam::123456789012:role/keyhold-DataSweepRole-1A2B";
    for (roles, status, reason) in [
        (json!({ "keyhold_sweeper": [arn] }), "SUCCESS", ""),
        (json!({ "keyhold_sweeper": arn }), "FAILED", "DatabaseRoles is no list of ARNs for each role of the database"),
        (json!({ "keyhold_nobody": [arn] }), "FAILED", "DatabaseRoles maps"),
    ] {
        let response_url = ResponseUrl::start(&[])?;
        let mut event: Value = serde_json::from_str(&custom_resource::event("Update", &response_url))?;
        event["ResourceProperties"]["DatabaseRoles"] = roles;
        function.invoke(&event.to_string())?;
        let body = response_url.only().body;
        assert_eq!(body["Status"], status, "{body}");
        assert!(body["Reason"].as_str().unwrap_or_default().starts_with(reason), "{body}");
    }
    let let_in = database.connect().await.query("select * from sys.iam_pg_role_mappings", &[]).await?;
    assert_eq!((let_in[0].get(0), let_in[0].get(1), let_in.len()), ("keyhold_sweeper", arn, 1));
    assert_eq!(database.refusals(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_run_brings_privileges_to_the_table() -> Outcome {
    let database = database_like_dsql();
    let superuser = database.connect().await;
    superuser
        .batch_execute(
            "grant select on users to keyhold_accounts; revoke insert on users from keyhold_register;
            grant delete on users to keyhold_reader",
        )
        .await?;
    let report = migrate_(&database).await?;
    assert_eq!(
        report.roles,
        [
            "grant insert on table users to keyhold_register",
            "revoke select on table users from keyhold_accounts",
            "revoke delete on table users from keyhold_reader",
            "grant select (age, created_at, email, email_canonical, full_name, gender, id, username) on table users to \
             keyhold_accounts",
        ]
    );
    assert!(migrate_(&database).await?.roles.is_empty());
    for grants in GRANTS {
        let client = database.connect_as(grants.role).await;
        let refused = client.batch_execute("select from public.anything").await.expect_err("nobody gets at `public`");
        assert!(refused.as_db_error().is_some_and(|error| error.message() == "permission denied for schema public"));
    }
    Ok(())
}

#[test]
fn what_is_for_one_kind_of_server_says_so_in_its_name() -> Outcome {
    for (file, sql) in migrations()? {
        let (version, name) = file.trim_end_matches(".sql").split_once("__").ok_or("no name")?;
        let version: i32 = version.trim_start_matches('V').parse()?;
        let on = |server| migrate::applies(version, name, server);
        assert!(on(Dialect::PostgreSql) || on(Dialect::AuroraDsql), "{file} is for nobody");
        if on(Dialect::AuroraDsql) {
            for statement in statements(&sql) {
                let refused = refused(&statement);
                assert!(
                    refused.is_empty(),
                    "{file} has {refused:?}: end its name in _postgresql, and make one in _dsql"
                );
            }
        }
        if on(Dialect::PostgreSql) {
            let is_dsql = statements(&sql).iter().any(|statement| contains(statement, "index async"));
            assert!(!is_dsql, "{file}: end its name in _dsql");
        }
    }
    Ok(())
}
