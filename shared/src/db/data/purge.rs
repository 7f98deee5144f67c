use std::time::SystemTime;

use tokio_postgres::types::Type;

use crate::db::dialect::{Sql, sql};
use crate::db::{Database, Dialect, Effect, Error, Parameters, column};
use crate::domain::UserId;

/// Maximum rows that a statement of a sweep deletes. It takes some milliseconds, so that it does not delay writers.
const STEP: i64 = 500;
/// Maximum rows that a statement deletes for a user whose write waits for it.
const STEP_OF_ONE_USER: i64 = 5000;
/// The same on DSQL, where a transaction changes at most 3000 rows.
const STEP_OF_ONE_USER_ON_DSQL: i64 = 1000;
/// Maximum number of times that a write over its quota purges expired values and tries again.
const MAX_PURGES: usize = 3;

macro_rules! expired {
    () => {
        "
            select user_id, key from data_store
            where expires_at <= $1 and ($2::uuid is null or user_id = $2)
            "
    };
}

/// Limits the rows to 8 MiB together. A transaction of DSQL changes at most 10 MiB.
macro_rules! at_most_8_mib {
    () => {
        ", measured as (
            select f.user_id, f.key, sum(octet_length(d.key) + octet_length(d.value)) over (order by f.user_id, f.key) as bytes
            from first f join data_store d on d.user_id = f.user_id and d.key = f.key
        ), expired as (
            select user_id, key from measured where bytes <= 8 * 1024 * 1024
        )"
    };
}

/// Deletes some expired values, the oldest first. Returns their number, 0 if there were none. No route returns expired values,
/// but they use space and count towards the quota.
///
/// On PostgreSQL the statement skips locked rows. On DSQL it is rolled back and repeated. Writes of the affected users wait for
/// it.
///
/// # Errors
/// The database is unavailable.
pub async fn purge_expired(db: &Database, now: SystemTime) -> Result<i64, Error> {
    const EXPIRED: Sql = sql!(
        postgresql("expired as (")
        dsql("first as (")
        expired!()
        "order by expires_at limit $3"
        postgresql(" for update skip locked")
        ")"
        dsql(at_most_8_mib!())
    );
    remove(db, None, now, db.dialect().choose(EXPIRED), STEP).await
}

/// Reclaims space for a write that would exceed its quota.
pub(super) struct Reclaim {
    user: UserId,
    purges: usize,
}

impl Reclaim {
    pub(super) fn new(user: UserId) -> Self {
        Self { user, purges: 0 }
    }

    /// Purges expired values of the user. Returns whether to try the write again: also once if nothing was deleted, because
    /// another request may have done it at the same time.
    pub(super) async fn run(&mut self, db: &Database, now: SystemTime) -> Result<bool, Error> {
        if self.purges == MAX_PURGES {
            return Ok(false);
        }
        self.purges += 1;
        // Locks rows in the order in which writers do, and waits for them.
        const EXPIRED: Sql = sql!(
            postgresql("expired as (")
            dsql("first as (")
            expired!()
            "order by key limit $3"
            postgresql(" for update")
            ")"
            dsql(at_most_8_mib!())
        );
        let step = match db.dialect() {
            Dialect::PostgreSql => STEP_OF_ONE_USER,
            Dialect::AuroraDsql => STEP_OF_ONE_USER_ON_DSQL,
        };
        let removed = remove(db, Some(self.user), now, db.dialect().choose(EXPIRED), step).await?;
        Ok(removed > 0 || self.purges == 1)
    }
}

async fn remove(
    db: &Database,
    user: Option<UserId>,
    now: SystemTime,
    expired: &'static str,
    step: i64,
) -> Result<i64, Error> {
    let sql = format!(
        "
        with {expired}, removed as (
            delete from data_store d using expired e where d.user_id = e.user_id and d.key = e.key
            returning d.user_id, octet_length(d.key) + octet_length(d.value) as bytes
        ), by_user as (
            select user_id, count(*) as keys, sum(bytes) as bytes from removed group by user_id
        ), usage as (
            update data_usage u set keys = u.keys - by_user.keys, bytes = u.bytes - by_user.bytes
            from by_user where u.user_id = by_user.user_id
        )
        select count(*) as removed from removed"
    );
    let parameters: &Parameters<'_> =
        &[(&now, Type::TIMESTAMPTZ), (&user.map(UserId::uuid), Type::UUID), (&step, Type::INT8)];
    let row = db.query_one(Effect::Write, &sql, parameters).await?;
    column(&row, "data_store", "removed")
}
