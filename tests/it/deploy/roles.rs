//! Database roles have no more privileges than their functions need. That they have enough is shown by all other tests,
//! which sign in with them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use expect_test::{expect, expect_file};
use shared::db::Role;
use shared::db::admin::roles::GRANTS;
use tests::postgres::{Options, Server, Version};
use tokio_postgres::{Client, NoTls};

use crate::support::workspace::root;
use crate::support::{Outcome, binaries, database, migration_app, roles, tools};

/// The outcome of a statement: `done`, or the error message.
async fn outcome(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => "done".to_owned(),
        Err(error) => error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned()),
    }
}

async fn migrate_(url: &str) -> Result<migrate::Report, Box<dyn std::error::Error>> {
    Ok(migrate::run(migration_app(url)).await.map_err(|error| error.to_string())?)
}

#[test]
fn a_function_is_deployed_with_its_role() -> Outcome {
    let template: serde_yaml_ng::Value = serde_yaml_ng::from_str(&fs::read_to_string(root().join("template.yaml"))?)?;
    let resources = template["Resources"].as_mapping().ok_or("no resources")?;
    let deployed: BTreeMap<&str, &str> = resources
        .iter()
        .filter_map(|(_, resource)| {
            let user = &resource["Properties"]["Environment"]["Variables"]["DATABASE_USER"];
            Some((resource["Metadata"]["BuildProperties"]["Binary"].as_str()?, user.as_str()?))
        })
        .collect();
    let declared = roles().map(|(function, role)| (function, role.name())).collect();
    assert_eq!(deployed, declared, "DATABASE_USER in template.yaml differs from the functions' ROLE");
    Ok(())
}

#[test]
fn the_role_table_lists_every_role_with_its_functions() -> Outcome {
    let readme = fs::read_to_string(root().join("migrations/README.md"))?;
    for grants in GRANTS {
        let functions: Vec<&str> =
            roles().filter(|(_, role)| *role == grants.role).map(|(function, _)| function).collect();
        assert!(!functions.is_empty(), "no function declares ROLE {:?}: remove it", grants.role);
        let row = format!("| `{}` | `{}` |", grants.role.name(), functions.join("` `"));
        assert!(readme.contains(&row), "add this row to migrations/README.md: {row}");
    }
    for (function, role) in roles() {
        let granted = GRANTS.iter().any(|grants| grants.role == role);
        assert!(granted, "{function} declares {role:?}: add its privileges to shared/src/db/admin/roles.rs");
    }
    Ok(())
}

#[tokio::test]
async fn no_role_can_change_the_schema() -> Outcome {
    const STATEMENTS: [&str; 13] = [
        "create table mine ()",
        "create temporary table mine ()",
        "create schema mine",
        "create view mine as select 1",
        "create function mine() returns int language sql as 'select 1'",
        "create role mine",
        "alter table users add column mine int",
        "alter table users owner to current_user",
        "create index mine on data_store (key)",
        "drop table sign_in_failures",
        "truncate user_counters",
        "grant keyhold_writer to keyhold_reader",
        "select from refinery_schema_history",
    ];
    let database = database();
    // Privileges on the database itself are not copied with the template.
    migrate_(database.url()).await?;
    for grants in GRANTS {
        let client = database.connect_as(grants.role).await;
        for statement in STATEMENTS {
            let outcome = outcome(&client, statement).await;
            let rejected = outcome.contains("permission denied") || outcome.contains("must be owner");
            assert!(rejected, "{}: {statement}: {outcome}", grants.role.name());
        }
    }
    Ok(())
}

/// Statements that show what a role may do.
const STATEMENTS: [&str; 29] = [
    "select id from users",
    "select email from users",
    "select password from users",
    "insert into users select null where false",
    "update users set password = '' where false",
    "update users set email = '' where false",
    "delete from users",
    "select id from sessions",
    "select user_agent from sessions",
    "select current_digest from sessions",
    "insert into sessions select null where false",
    "update sessions set current_digest = '' where false",
    "delete from sessions",
    "select subject from sign_in_failures",
    "select network from known_networks",
    "select value from data_store",
    "update data_store set value = '' where false",
    "delete from data_store",
    "update user_counters set version = 1 where false",
    "update user_counters set keys_allowed = 1 where false",
    "select digest from mailed_codes",
    "insert into mailed_codes select null where false",
    "delete from mailed_codes",
    "select network from account_events",
    "insert into account_events select null where false",
    "delete from account_events",
    "select message from announcements",
    "insert into announcements select null where false",
    "delete from announcements",
];

#[tokio::test]
async fn a_role_reads_and_writes_only_what_its_functions_do() -> Outcome {
    let database = database();
    let mut table = String::new();
    for grants in GRANTS {
        let client = database.connect_as(grants.role).await;
        table.extend([grants.role.name(), ":\n"]);
        for statement in STATEMENTS {
            match outcome(&client, statement).await.as_str() {
                outcome if outcome.contains("permission denied") => {}
                // Other errors, such as a null in a required column, show that the privilege exists: it is checked
                // first.
                _ => table.extend(["  ", statement, "\n"]),
            }
        }
    }
    expect_file!["roles.txt"].assert_eq(&table);
    Ok(())
}

#[tokio::test]
async fn a_run_restores_the_privileges_of_the_roles() -> Outcome {
    let database = database();
    let superuser = database.connect().await;
    migrate_(database.url()).await?;
    superuser
        .batch_execute(
            "grant select on users to keyhold_reader; grant update (value) on data_store to keyhold_reader;
            grant select on sign_in_failures to public; grant create on schema public to public;
            grant select on users to keyhold_accounts; revoke insert on users from keyhold_register;
            revoke update (email) on users from keyhold_accounts;
            create table other (id int); grant select on other to keyhold_reader; grant select on other to public;
            alter role keyhold_reader in database DATABASE set statement_timeout = '1h'"
                .replace("DATABASE", database.config().get_dbname().ok_or("no name")?)
                .as_str(),
        )
        .await?;
    let report = migrate_(database.url()).await?;
    let changes = report.roles.join("\n").replace(database.config().get_dbname().ok_or("no name")?, "DATABASE");
    expect![[r#"
        alter role keyhold_reader in database DATABASE set statement_timeout = '7s'
        revoke select on table users from keyhold_accounts
        revoke update (value) on table data_store from keyhold_reader
        revoke select on table other from keyhold_reader
        revoke select on table users from keyhold_reader
        revoke create on schema public from public
        revoke select on table sign_in_failures from public
        grant select (age, created_at, email, email_verified_at, full_name, gender, id, username) on table users to keyhold_accounts
        grant insert on table users to keyhold_register"#]]
    .assert_eq(&changes);
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let reader = database.connect_as(Role::Reader).await;
    assert!(outcome(&reader, "select id from users").await.contains("permission denied"));
    let granted_to_public = outcome(&reader, "select id from other").await;
    assert_eq!(granted_to_public, "done", "grants of public on other tables are left alone");
    assert!(migrate_(database.url()).await?.roles.is_empty(), "a second run changes nothing");
    Ok(())
}

#[tokio::test]
async fn the_roles_have_timeouts_for_abandoned_statements() -> Outcome {
    let database = database();
    migrate_(database.url()).await?;
    let writer = database.connect_as(Role::Writer).await;
    for (setting, expected) in [
        ("statement_timeout", "7s"),
        ("idle_in_transaction_session_timeout", "7s"),
        ("client_connection_check_interval", "1s"),
        ("idle_session_timeout", "1min"),
    ] {
        let value: String = writer.query_one(&format!("show {setting}"), &[]).await?.get(0);
        assert_eq!(value, expected, "{setting}");
    }
    Ok(())
}

/// A server without access as superuser, as on RDS. The owner of the database `one` may create roles. The owner of
/// `two` may not.
struct Managed {
    server: Server,
    superuser: Client,
}

impl Managed {
    async fn start(version: Version) -> Result<Self, Box<dyn std::error::Error>> {
        let server = Server::throw_away(tools(), Options { version, ..Options::default() })?;
        let superuser = connect(&server.url("postgres")).await?;
        for statement in [
            "create role master login createrole createdb password 'master'",
            "create role tenant login password 'tenant'",
            "create database one owner master",
            "create database two owner tenant",
        ] {
            superuser.batch_execute(statement).await?;
        }
        Ok(Self { server, superuser })
    }

    fn url(&self, user: &str, database: &str) -> String {
        self.server.url(database).replace("postgres:postgres", &format!("{user}:{user}"))
    }

    /// Runs the function as a program. Returns whether it succeeded, and its output.
    fn run(&self, user: &str, database: &str, roles: &str) -> Result<(bool, String), Box<dyn std::error::Error>> {
        let output = Command::new(binaries().path("migrate"))
            .env_clear()
            .env("DATABASE_URL", self.url(user, database))
            .env("DATABASE_ROLES", roles)
            .output()?;
        Ok((output.status.success(), String::from_utf8(output.stdout)?))
    }
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
async fn missing_roles_are_reported_to_an_owner_who_may_not_create_them() -> Outcome {
    let managed = Managed::start(Version::V16).await?;
    let (succeeded, log) = managed.run("tenant", "two", "")?;
    assert!(!succeeded, "{log}");
    assert!(log.contains("the database lacks the roles keyhold_register, keyhold_sign_in, "), "{log}");
    assert!(log.contains("Have an administrator run `create role keyhold_register login; create role "), "{log}");
    let (succeeded, log) = managed.run("tenant", "two", "off")?;
    assert!(
        succeeded && log.ends_with("{\"applied\":[]}\n"),
        "the schema exists by then, and roles are not managed: {log}"
    );
    let (succeeded, log) = managed.run("tenant", "two", "perhaps")?;
    assert!(!succeeded && log.contains(r#"DATABASE_ROLES must be make or iam or off, not "perhaps""#), "{log}");

    let report = migrate_(&managed.url("master", "one")).await?;
    assert!(report.problems.is_empty(), "an owner who may create roles needs no administrator: {report:?}");
    managed
        .superuser
        .batch_execute("alter role keyhold_reader password 'role' createdb; grant pg_monitor to keyhold_sweeper")
        .await?;
    let owned = connect(&managed.server.url("two")).await?;
    owned.batch_execute("create table other (); alter table other owner to keyhold_writer").await?;
    let (succeeded, log) = managed.run("tenant", "two", "make")?;
    assert!(succeeded, "{log}");
    for statement in [
        "alter role keyhold_reader in database two set statement_timeout",
        "alter role keyhold_reader login nosuperuser",
        "revoke pg_monitor from keyhold_sweeper`",
        "alter table other owner to tenant`",
    ] {
        assert!(log.contains(&format!("this user may not change it. Have an administrator run `{statement}")), "{log}");
    }
    let reader = connect(&managed.server.url("two").replace("postgres:postgres", "keyhold_reader:role")).await?;
    assert_eq!(outcome(&reader, "select value from data_store").await, "done");
    assert!(outcome(&reader, "delete from data_store").await.contains("permission denied"));
    Ok(())
}

#[tokio::test]
async fn two_databases_of_a_server_can_be_migrated_at_once() -> Outcome {
    let managed = Managed::start(Version::V18).await?;
    managed.superuser.batch_execute("alter database two owner to master").await?;
    let (one, two) = (managed.url("master", "one"), managed.url("master", "two"));
    let (one, two) = tokio::join!(migrate_(&one), migrate_(&two));
    let (one, two) = (one?, two?);
    assert!(one.problems.is_empty() && two.problems.is_empty(), "{one:?} {two:?}");
    let made = one.roles.iter().chain(&two.roles).filter(|change| change.starts_with("create role"));
    assert_eq!(made.count(), GRANTS.len());
    Ok(())
}

#[tokio::test]
async fn the_roles_may_sign_in_by_iam_if_requested() -> Outcome {
    let managed = Managed::start(Version::V18).await?;
    let (succeeded, log) = managed.run("master", "one", "iam")?;
    assert!(
        succeeded && log.contains("Have an administrator run `grant rds_iam to keyhold_reader`"),
        "not on RDS: {log}"
    );
    managed.superuser.batch_execute("create role rds_iam; grant rds_iam to master with admin option").await?;
    let (succeeded, log) = managed.run("master", "one", "iam")?;
    assert!(succeeded && log.contains("\"grant rds_iam to keyhold_reader\"") && !log.contains("problems"), "{log}");
    let (_, log) = managed.run("master", "one", "iam")?;
    assert!(log.ends_with("{\"applied\":[]}\n"), "{log}");
    Ok(())
}
