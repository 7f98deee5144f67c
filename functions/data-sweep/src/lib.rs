//! Removes all that has expired: values, sessions, mailed codes, counters of failed password checks, unused networks, and old
//! events. Also removes the values of deleted users, and moves announcements to the outbox that requests have left. A schedule
//! invokes this function; it has no route.

use serde::Serialize;
use shared::App;
use shared::db::{self, Role};
use shared::report::BoxError;
use shared::secrets::NoKeys;

/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Sweeper;

/// Maximum number of purges in one run. Each removes up to 500 values, so that a run of 100 000 ends before its
/// timeout.
const MAX_STEPS: usize = 200;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Expired values that were removed.
    pub removed: i64,
    /// Whether no expired values remain, except for those that were locked by a writer. If not, the next run continues.
    pub finished: bool,
    /// Values of deleted users that were removed. A request to delete an account leaves those that take too long.
    #[serde(skip_serializing_if = "is_zero")]
    pub orphans: i64,
    /// Expired sessions that were removed. Each run examines some thousand.
    #[serde(skip_serializing_if = "is_zero")]
    pub sessions: i64,
    /// Outdated counters of failed password checks that were removed.
    #[serde(skip_serializing_if = "is_zero")]
    pub sign_in_failures: i64,
    /// Full buckets of rate limits whose rows were removed.
    #[serde(skip_serializing_if = "is_zero")]
    pub rate_limits: i64,
    /// Networks of users that were removed because they were not used for 90 days.
    #[serde(skip_serializing_if = "is_zero")]
    pub known_networks: i64,
    /// Mailed codes that were removed because they had expired.
    #[serde(skip_serializing_if = "is_zero")]
    pub mailed_codes: i64,
    /// Events of accounts that were removed because they were older than 90 days.
    #[serde(skip_serializing_if = "is_zero")]
    pub account_events: i64,
    /// Announcements that were moved to the outbox because a request had failed to do so.
    #[serde(skip_serializing_if = "is_zero")]
    pub announcements: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Removes expired rows in small steps, between which other statements can run. Concurrent runs are safe.
///
/// # Errors
/// The database is unavailable.
pub async fn run(app: App<NoKeys>) -> Result<Report, BoxError> {
    let (db, now) = (app.db(), app.now());
    let sessions = db::sweep::remove_expired_sessions(db, now).await?;
    let sign_in_failures = db::sweep::remove_outdated_failures(db, now).await?;
    let rate_limits = db::sweep::remove_full_buckets(db, now).await?;
    let known_networks = db::known_networks::remove_unused(db, now).await?;
    let mailed_codes = db::sweep::remove_expired_codes(db, now).await?;
    let account_events = db::sweep::remove_old_events(db, now).await?;
    let orphans = db::data::remove_values_of_deleted_users(db, now).await?;
    let mut report = Report {
        removed: 0,
        finished: false,
        orphans,
        sessions,
        sign_in_failures,
        rate_limits,
        known_networks,
        mailed_codes,
        account_events,
        announcements: 0,
    };
    for _ in 0..MAX_STEPS {
        let removed = db::data::purge_expired(db, now).await?;
        report.removed += removed;
        if removed == 0 {
            report.finished = true;
            break;
        }
    }
    // The last step, because it needs the outbox as well.
    report.announcements = app.move_left_announcements().await?;
    Ok(report)
}
