//! Migrates the database: applies the missing migrations, synchronizes the database roles, and creates the first signing keys.
//! Not a route: CloudFormation invokes it in a deployment, an operator invokes it by hand, and on a development machine it runs
//! as a program.

mod cloudformation;
mod schema;

use std::pin::Pin;

use serde::Serialize;
use shared::App;
use shared::clock::{Clock, SystemClock};
use shared::db::admin::reconcile::{IamRoles, RoleManagement};
use shared::report::BoxError;
use shared::runtime::{Context, Invocation};
use shared::secrets::NoKeys;
use shared::secrets::rotation::create_keys;

/// The result of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The migrations that this run applied, in order. Empty if the schema was current.
    pub applied: Vec<String>,
    /// Whether the first signing keys were created or their public keys published.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keys_created: bool,
    /// The statements that changed the database roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Differences of the database roles that this user may not correct, each with the statement to run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The response to an invocation.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// The report, for an operator.
    Report(Report),
    /// The response that was sent to CloudFormation.
    Response(cloudformation::Response),
}

type Run = Pin<Box<dyn Future<Output = Result<Report, BoxError>> + Send>>;

/// Migrates the database, and sends the result to CloudFormation if it invoked the function.
///
/// # Errors
/// As for [`run`]. If CloudFormation invoked the function, only that the response could not be sent.
pub async fn handle(invocation: Invocation) -> Result<Outcome, BoxError> {
    // Boxed: the compiler lays out nested futures as one, and fails if they are nested too deep.
    let run = |iam_roles: IamRoles| -> Run {
        Box::pin(async move { run_with_iam_roles(App::start().await?, &iam_roles).await })
    };
    match cloudformation::Request::parse(&invocation.event) {
        None => run(IamRoles::new()).await.map(Outcome::Report),
        Some(request) => request.serve(run, SystemClock.now(), invocation.deadline).await.map(Outcome::Response),
    }
}

/// Applies the missing migrations and synchronizes the database roles. Runs may be repeated and may overlap: on PostgreSQL
/// the second one waits for the first, and on Aurora DSQL it accepts the objects that the first one created.
///
/// # Errors
/// A migration failed, the database was migrated with other files, is reached through a pooler, has another encoding than
/// UTF-8, or is unavailable. Or roles are missing that this user
/// may not create.
pub async fn run(app: App<NoKeys>) -> Result<Report, BoxError> {
    run_with_iam_roles(app, &IamRoles::new()).await
}

/// Like [`run`], and then allows IAM roles to sign in to Aurora DSQL as database roles.
///
/// # Errors
/// As for [`run`]. Or `iam_roles` names an unknown database role, or a text that is not the ARN of an IAM role.
pub async fn run_with_iam_roles(app: App<NoKeys>, iam_roles: &IamRoles) -> Result<Report, BoxError> {
    let management = RoleManagement::from_env()?;
    let mut connection = app.db().connect_for_migrations().await?;
    let applied = schema::migrate(&mut connection, app.now()).await?;
    let roles = connection.sync_roles(management, iam_roles).await?;
    connection.close().await?;
    let keys_created = create_keys(app.now()).await?;
    Ok(Report { applied, keys_created, roles: roles.changes, problems: roles.problems })
}
