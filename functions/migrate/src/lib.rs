//! Brings the database's schema up to date. Not a route: CloudFormation or a person invokes it at a deployment, and it is
//! run as a program locally.

mod cloudformation;

use std::pin::Pin;

use serde::Serialize;
use shared::App;
use shared::clock::{Clock, SystemClock};
use shared::config;
use shared::error::BoxError;
use shared::runtime::{Context, Invocation};
use shared::secrets::NoKeys;

mod embedded {
    refinery::embed_migrations!("../../migrations");
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
    let migration = || -> Migration { Box::pin(async { run(App::start().await?).await }) };
    match cloudformation::Request::of(&invocation.event) {
        None => migration().await.map(Outcome::Done),
        Some(request) => request.serve(migration, SystemClock.now(), invocation.deadline).await.map(Outcome::Answered),
    }
}

/// Applies the migrations that the database lacks, each in a transaction of its own, and then brings the roles of the
/// functions to what they need. Safe to repeat, and safe to run twice at once: the second run waits for the first.
///
/// # Errors
/// The database is out of reach, refuses a migration, or has another one under the same number; or it lacks roles that
/// this user may not make.
pub async fn run(app: App<NoKeys>) -> Result<Report, BoxError> {
    let management = config::role_management()?;
    let mut connection = app.db().lock_for_migrations().await?;
    let report = embedded::migrations::runner()
        // The schema of a newer version serves an older one: that is what makes it possible to roll back a deployment.
        .set_abort_missing(false)
        .run_async(connection.client())
        .await?;
    let roles = connection.bring_roles(management).await?;
    connection.unlock().await?;
    Ok(Report {
        applied: report.applied_migrations().iter().map(ToString::to_string).collect(),
        roles: roles.changes,
        problems: roles.problems,
    })
}
