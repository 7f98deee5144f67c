//! Removes expired values. Not a route: a schedule invokes it.

use serde::Serialize;
use shared::App;
use shared::db::{self, Role};
use shared::report::BoxError;
use shared::secrets::NoKeys;

/// The database role.
pub const ROLE: Role = Role::Sweeper;

/// Statements of one run. Each removes some hundred values, so a run removes up to 100 000 before its timeout.
const MAX_STEPS: usize = 200;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Expired values that were removed.
    pub removed: i64,
    /// Whether all were removed, except for those that were being written. The next run removes the rest.
    pub finished: bool,
    /// Values of deleted users that were removed. Only Aurora DSQL has them; elsewhere foreign keys cascade.
    #[serde(skip_serializing_if = "is_zero")]
    pub orphans: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Removes expired values in small steps, between which other statements can run. Two concurrent runs are safe.
///
/// # Errors
/// The database is unavailable.
pub async fn run(app: App<NoKeys>) -> Result<Report, BoxError> {
    let now = app.now();
    let orphans = db::data::remove_orphans(app.db(), now).await?.values;
    let mut removed = 0;
    for _ in 0..MAX_STEPS {
        match db::data::purge_expired(app.db(), now).await? {
            0 => return Ok(Report { removed, finished: true, orphans }),
            step => removed += step,
        }
    }
    Ok(Report { removed, finished: false, orphans })
}
