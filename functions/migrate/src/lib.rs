//! Brings the database's schema up to date. Not a route: CloudFormation or a person invokes it at a deployment, and it is
//! run as a program locally.

mod cloudformation;

use std::pin::Pin;

use serde::Serialize;
use shared::App;
use shared::clock::{Clock, SystemClock};
use shared::db::Dialect;
use shared::db::admin::migrations::Migration as OneByOne;
use shared::db::admin::reconcile::IamRoles;
use shared::db::admin::reconcile::RoleManagement;
use shared::report::BoxError;
use shared::runtime::{Context, Invocation};
use shared::secrets::NoKeys;

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// What PostgreSQL alone takes, though its name does not say so: by that, later ones are told.
const FOR_POSTGRESQL: [i32; 2] = [7, 11];

/// Whether a migration is for a kind of server. One whose name ends in `_postgresql` or `_dsql` is for that one alone.
pub fn applies(version: i32, name: &str, server: Dialect) -> bool {
    match server {
        Dialect::PostgreSql => !name.ends_with("_dsql"),
        Dialect::AuroraDsql => !name.ends_with("_postgresql") && !FOR_POSTGRESQL.contains(&version),
    }
}

/// What a run did.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The migrations that this run applied, in order; none if the schema was up to date.
    pub applied: Vec<String>,
    /// The statements that brought the roles and what they may do to the table in `shared::db::roles`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// What this user may not do about the roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What the invoker gets to know.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// What was done.
    Done(Report),
    /// What CloudFormation was answered.
    Answered(cloudformation::Answer),
}

type Migration = Pin<Box<dyn Future<Output = Result<Report, BoxError>> + Send>>;

/// Runs the migrations for whoever asks; CloudFormation is answered in its own way, whatever comes of them.
///
/// # Errors
/// As for [`run`]; of an event of CloudFormation's only that it could not be answered.
pub async fn handle(invocation: Invocation) -> Result<Outcome, BoxError> {
    // Boxed: the compiler lays out nested futures as one, and gives up where they are nested too deep.
    let migration = |iam_roles: IamRoles| -> Migration {
        Box::pin(async move { run_and_let_in(App::start().await?, &iam_roles).await })
    };
    match cloudformation::Request::of(&invocation.event) {
        None => migration(IamRoles::new()).await.map(Outcome::Done),
        Some(request) => request.serve(migration, SystemClock.now(), invocation.deadline).await.map(Outcome::Answered),
    }
}

/// Applies the migrations that the database lacks, each in a transaction of its own, and then brings the roles of the
/// functions to what they need. Safe to repeat, and safe to run twice at once: the second run waits for the first. On Aurora
/// DSQL, where nothing waits and no transaction holds more than one change of the schema, it is safe as well: what is there
/// is passed over.
///
/// # Errors
/// The database is out of reach, refuses a migration, or has another one under the same number; or it lacks roles that
/// this user may not make.
pub async fn run(app: App<NoKeys>) -> Result<Report, BoxError> {
    run_and_let_in(app, &IamRoles::new()).await
}

/// The same, and then lets roles of IAM sign in to Aurora DSQL as roles of the database.
///
/// # Errors
/// As for [`run`]; or one of those is no role.
pub async fn run_and_let_in(app: App<NoKeys>, iam_roles: &IamRoles) -> Result<Report, BoxError> {
    let management = RoleManagement::from_env()?;
    let mut connection = app.db().connect_for_migrations().await?;
    let server = connection.dialect();
    let mut migrations = embedded::migrations::runner().get_migrations().clone();
    migrations.retain(|migration| applies(migration.version(), migration.name(), server));
    migrations.sort();
    let applied = match server {
        Dialect::PostgreSql => {
            let report = refinery::Runner::new(&migrations)
                // The schema of a newer version serves an older one: that is what makes it possible to roll back a deployment.
                .set_abort_missing(false)
                .run_async(connection.client())
                .await?;
            report.applied_migrations().iter().map(ToString::to_string).collect()
        }
        Dialect::AuroraDsql => {
            let one_by_one: Vec<_> = migrations
                .iter()
                .map(|migration| OneByOne {
                    version: migration.version(),
                    name: migration.name(),
                    checksum: migration.checksum(),
                    sql: migration.sql().unwrap_or_default(),
                })
                .collect();
            connection.apply_one_by_one(&one_by_one, app.now()).await?
        }
    };
    let roles = connection.sync_roles(management, iam_roles).await?;
    connection.close().await?;
    Ok(Report { applied, roles: roles.changes, problems: roles.problems })
}
