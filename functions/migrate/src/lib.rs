//! Brings the database's schema up to date. Not a route: it is invoked at a deployment, and run as a program locally.

use serde::Serialize;
use shared::App;
use shared::error::BoxError;
use shared::secrets::NoKeys;

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// What a run did.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The migrations that this run applied, in order; none if the schema was up to date.
    pub applied: Vec<String>,
}

/// Applies the migrations that the database lacks, each in a transaction of its own. Safe to repeat, and safe to run twice
/// at once: the second run waits for the first.
///
/// # Errors
/// The database is out of reach, refuses a migration, or has another one under the same number.
pub async fn run(app: App<NoKeys>) -> Result<Report, BoxError> {
    let mut connection = app.db().lock_for_migrations().await?;
    let report = embedded::migrations::runner()
        // The schema of a newer version serves an older one: that is what makes it possible to roll back a deployment.
        .set_abort_missing(false)
        .run_async(connection.client())
        .await?;
    connection.unlock().await?;
    Ok(Report { applied: report.applied_migrations().iter().map(ToString::to_string).collect() })
}
