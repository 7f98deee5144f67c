//! Removes values that have expired. Not a route: it is invoked by a schedule.

use serde::Serialize;
use shared::App;
use shared::db;
use shared::error::BoxError;
use shared::secrets::NoKeys;

/// Statements that one run makes at most, each of which removes some hundred values: a hundred thousand in all, so that a run
/// ends before its timeout.
const MAX_STEPS: usize = 200;

/// What a run did.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Values that it removed.
    pub removed: i64,
    /// Whether it removed all there were, but for those that somebody was writing. What is left, the next run removes.
    pub finished: bool,
    /// Values that it removed because their user is gone, which foreign keys do elsewhere than on Aurora DSQL.
    #[serde(skip_serializing_if = "is_zero")]
    pub ownerless: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Removes values that have expired, in small steps between which others have their turn. Two runs at once are safe.
///
/// # Errors
/// The database is out of reach.
pub async fn run(app: App<NoKeys>) -> Result<Report, BoxError> {
    let now = app.now();
    let ownerless = db::data::remove_ownerless(app.db(), now).await?.values;
    let mut removed = 0;
    for _ in 0..MAX_STEPS {
        match db::data::sweep(app.db(), now).await? {
            0 => return Ok(Report { removed, finished: true, ownerless }),
            step => removed += step,
        }
    }
    Ok(Report { removed, finished: false, ownerless })
}
