//! Migrations and database roles on Aurora DSQL, which a PostgreSQL with the limits of DSQL imitates.

use serde_json::{Value, json};
use shared::db::Dialect;
use shared::db::admin::roles::GRANTS;
use tokio_postgres::{Client as Superuser, Row};

use crate::support::custom_resource;
use crate::support::workspace::migrations;
use crate::support::{Database, Outcome, ResponseUrl, database, fake_dsql_database, migration_app};

/// Returns the names of all migrations, in order.
fn all() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut names = Vec::new();
    for file in migrations(Dialect::AuroraDsql)?.into_keys() {
        let (number, _) = file.trim_start_matches('V').split_once("__").ok_or("a file without a number")?;
        names.push((number.parse::<i32>()?, file.trim_end_matches(".sql").to_owned()));
    }
    names.sort();
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

/// Returns the names of the migrations that the history contains, in order.
async fn recorded(database: &Superuser) -> Result<Vec<String>, tokio_postgres::Error> {
    const SQL: &str = "select format('V%s__%s', version, name) from refinery_schema_history order by version";
    Ok(database.query(SQL, &[]).await?.iter().map(|row| row.get(0)).collect())
}

async fn run(database: &Database) -> Result<migrate::Report, String> {
    migrate::run(database.migration_app()).await.map_err(|error| format!("{error:?}"))
}

async fn without_schema() -> Result<Database, tokio_postgres::Error> {
    let database = fake_dsql_database();
    database.connect().await.batch_execute("drop schema keyhold cascade").await?;
    Ok(database)
}

#[tokio::test]
async fn a_run_applies_all_migrations_and_the_next_run_none() -> Outcome {
    let database = without_schema().await?;
    let report = run(&database).await?;
    assert_eq!(report.applied, all()?);
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(recorded(&database.connect().await).await?, report.applied);
    let next = run(&database).await?;
    assert!(next.applied.is_empty() && next.roles.is_empty() && next.problems.is_empty(), "{next:?}");
    assert_eq!(database.rejections(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn an_interrupted_run_is_continued() -> Outcome {
    let database = fake_dsql_database();
    let client = database.connect().await;
    // Interrupted before the migration was recorded.
    for version in [1, 3] {
        client.execute("delete from refinery_schema_history where version = $1", &[&version]).await?;
        assert_eq!(run(&database).await?.applied.len(), 1, "{version}");
        assert_eq!(recorded(&client).await?, all()?);
    }
    // Interrupted between the two statements of a migration.
    client.batch_execute("delete from refinery_schema_history where version = 3").await?;
    client.batch_execute("drop index data_store_expiry").await?;
    assert_eq!(run(&database).await?.applied, ["V3__data_store"]);
    client.query_one("select from pg_indexes where indexname = 'data_store_expiry'", &[]).await?;
    // Interrupted before the history was created.
    client.batch_execute("drop table refinery_schema_history").await?;
    assert_eq!(run(&database).await?.applied, all()?);
    assert_eq!(database.rejections(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_database_of_other_files_is_rejected() -> Outcome {
    let database = fake_dsql_database();
    let client = database.connect().await;
    client.batch_execute("delete from refinery_schema_history where version = 1").await?;
    client.batch_execute("update refinery_schema_history set checksum = '1' where version = 3").await?;
    let error = run(&database).await.err().ok_or("the run succeeded")?;
    assert!(error.contains("Divergent") && error.contains("data_store"), "{error}");
    assert!(!recorded(&client).await?.contains(&"V1__users".to_owned()), "no migration was applied");
    Ok(())
}

#[tokio::test]
async fn a_failed_statement_names_its_migration() -> Outcome {
    let database = without_schema().await?;
    let client = database.connect().await;
    client.batch_execute("create schema keyhold; create table keyhold.data_store (key text)").await?;
    let error = run(&database).await.err().ok_or("the run succeeded")?;
    assert!(error.contains("data_store") && error.contains("expires_at"), "{error}");
    Ok(())
}

#[tokio::test]
async fn refinery_can_read_the_history() -> Outcome {
    const COLUMNS: &str = "select column_name::text, udt_name::text, character_maximum_length
        from information_schema.columns where table_name = 'refinery_schema_history' order by 1";
    let (on_dsql, on_postgresql) = (fake_dsql_database(), database());
    let (client, reference) = (on_dsql.connect().await, on_postgresql.connect().await);
    let columns = |rows: Vec<Row>| -> Vec<(String, String, Option<i32>)> {
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    };
    assert_eq!(columns(client.query(COLUMNS, &[]).await?), columns(reference.query(COLUMNS, &[]).await?));
    // Refinery compares the history with the files for PostgreSQL, which have other checksums.
    let name = on_dsql.config().get_dbname().ok_or("no name")?.to_owned();
    client.batch_execute(&format!("alter database {name} set search_path = keyhold")).await?;
    let error = migrate::run(migration_app(on_dsql.url())).await.err().ok_or("the run succeeded")?;
    assert!(error.to_string().contains("a file V1__users that differs"), "{error}");
    Ok(())
}

#[tokio::test]
async fn concurrent_runs_apply_each_migration_once() -> Outcome {
    let database = without_schema().await?;
    let (first, second) = tokio::join!(run(&database), run(&database));
    let mut applied = first?.applied;
    applied.extend(second?.applied);
    applied.sort_unstable();
    let mut all = all()?;
    assert_eq!(recorded(&database.connect().await).await?, all);
    all.sort_unstable();
    assert_eq!(applied, all);
    Ok(())
}

#[tokio::test]
async fn iam_roles_are_linked_to_database_roles() -> Outcome {
    let database = fake_dsql_database();
    let arn = "arn:aws:iam::123456789012:role/keyhold-DataGetRole-1A2B";
    let link = |role: &str, arn: &str| {
        let iam_roles = [(role.to_owned(), vec![arn.to_owned()])].into();
        let app = database.migration_app();
        async move { migrate::run_with_iam_roles(app, &iam_roles).await.map_err(|error| error.to_string()) }
    };
    let report = link("keyhold_reader", arn).await?;
    assert_eq!(report.roles, [format!("aws iam grant keyhold_reader to '{arn}'")]);
    assert!(link("keyhold_reader", arn).await?.roles.is_empty(), "the link exists");
    let links = database.connect().await.query("select * from sys.iam_pg_role_mappings", &[]).await?;
    assert_eq!((links[0].get(0), links[0].get(1), links.len()), ("keyhold_reader", arn, 1));
    for (role, arn) in [("admin", arn), ("keyhold_reader", "arn:aws:iam::1:role/x'; drop table users; --")] {
        let error = link(role, arn).await.err().ok_or("the run succeeded")?;
        assert!(error.contains("DatabaseRoles maps"), "{error}");
    }
    assert_eq!(database.rejections(), [""; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_migrates_dsql_and_links_its_iam_roles() -> Outcome {
    let database = without_schema().await?;
    let url = database.service_url();
    let function = custom_resource::migrate(&[("DATABASE_URL", &url), ("DATABASE_AUTH", "dsql")])?;
    let arn = "arn:aws:iam::123456789012:role/keyhold-DataSweepRole-1A2B";
    for (roles, status, reason) in [
        (json!({ "keyhold_sweeper": [arn] }), "SUCCESS", ""),
        (json!({ "keyhold_sweeper": arn }), "FAILED", "DatabaseRoles must map each database role to a list of ARNs"),
        (json!({ "keyhold_unknown": [arn] }), "FAILED", "DatabaseRoles maps"),
    ] {
        let response_url = ResponseUrl::start(&[])?;
        let mut event: Value = serde_json::from_str(&custom_resource::event("Update", &response_url))?;
        event["ResourceProperties"]["DatabaseRoles"] = roles;
        function.invoke(&event.to_string())?;
        let body = response_url.only().body;
        assert_eq!(body["Status"], status, "{body}");
        assert!(body["Reason"].as_str().unwrap_or_default().starts_with(reason), "{body}");
    }
    let links = database.connect().await.query("select * from sys.iam_pg_role_mappings", &[]).await?;
    assert_eq!((links[0].get(0), links[0].get(1), links.len()), ("keyhold_sweeper", arn, 1));
    assert_eq!(database.rejections(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_run_corrects_the_privileges() -> Outcome {
    let database = fake_dsql_database();
    let superuser = database.connect().await;
    superuser
        .batch_execute(
            "grant select on users to keyhold_accounts; revoke insert on users from keyhold_register;
            grant delete on users to keyhold_reader",
        )
        .await?;
    let report = run(&database).await?;
    assert_eq!(
        report.roles,
        [
            "grant insert on table users to keyhold_register",
            "revoke select on table users from keyhold_accounts",
            "revoke delete on table users from keyhold_reader",
            "grant select (age, created_at, email, email_verified_at, full_name, gender, id, username) on table users to \
             keyhold_accounts",
        ]
    );
    assert!(run(&database).await?.roles.is_empty());
    for grants in GRANTS {
        let client = database.connect_as(grants.role).await;
        let error =
            client.batch_execute("select from public.anything").await.err().ok_or("the role can use `public`")?;
        assert!(error.as_db_error().is_some_and(|error| error.message() == "permission denied for schema public"));
    }
    Ok(())
}
