//! Purging of expired values. They are invisible to all routes, but take up space and count against their owner's
//! quota.

use std::time::SystemTime;

use tokio_postgres::types::Type;

use crate::db::dialect::{Sql, sql};
use crate::db::{Database, Dialect, Effect, Error, Parameters, column};
use crate::domain::UserId;

/// Maximum number of values that one statement removes from all users. It holds their locks for some milliseconds.
const STEP: i64 = 500;
/// Maximum number of values that one statement removes from one user, whose write waits for it.
const STEP_OF_ONE_USER: i64 = 5000;
/// The same on DSQL, which allows 3000 rows in a transaction.
const STEP_OF_ONE_USER_ON_DSQL: i64 = 1000;
/// Maximum number of purges for one write that would exceed the quota.
const MAX_RECLAIMS: usize = 3;

/// Selects the expired values of the users that the following condition selects. Each condition is a statement of its own,
/// because a plan for both would not use the best index of either.
macro_rules! select_expired {
    () => {
        "
            select user_id, key from data_store where expires_at <= $1 and "
    };
}

/// Limits the CTE `first` to 8 MiB, as the CTE `expired`: DSQL allows 10 MiB in a transaction.
macro_rules! limit_bytes {
    () => {
        ", measured as (
            select f.user_id, f.key, sum(octet_length(d.key) + octet_length(d.value)) over (order by f.user_id, f.key) as bytes
            from first f join data_store d on d.user_id = f.user_id and d.key = f.key
        ), expired as (
            select user_id, key from measured where bytes <= 8 * 1024 * 1024
        )"
    };
}

/// Removes some expired values, the oldest first, and returns how many: 0 if there are none.
///
/// On PostgreSQL it skips rows that a concurrent write has locked. On DSQL it conflicts with such a write and is
/// retried.
///
/// # Errors
/// The database is unavailable.
pub async fn purge_expired(db: &Database, now: SystemTime) -> Result<i64, Error> {
    const EXPIRED: Sql = sql!(
        postgresql("expired as (")
        dsql("first as (")
        select_expired!()
        "$2::uuid is null order by expires_at limit $3"
        postgresql(" for update skip locked")
        ")"
        dsql(limit_bytes!())
    );
    remove(db, None, now, db.dialect().choose(EXPIRED), STEP).await
}

/// The purges for one write that would exceed the quota.
pub(super) struct Reclaim {
    user: UserId,
    runs: usize,
}

impl Reclaim {
    pub(super) fn new(user: UserId) -> Self {
        Self { user, runs: 0 }
    }

    /// Removes expired values of the user and returns whether to retry the write. The first run always says yes: a
    /// concurrent request may have removed them.
    pub(super) async fn run(&mut self, db: &Database, now: SystemTime) -> Result<bool, Error> {
        if self.runs == MAX_RECLAIMS {
            return Ok(false);
        }
        self.runs += 1;
        // Locks rows in the same order as writers and waits for them, so that it does not miss a value that they hold.
        const EXPIRED: Sql = sql!(
            postgresql("expired as (")
            dsql("first as (")
            select_expired!()
            "user_id = $2 order by key limit $3"
            postgresql(" for update")
            ")"
            dsql(limit_bytes!())
        );
        let step = match db.dialect() {
            Dialect::PostgreSql => STEP_OF_ONE_USER,
            Dialect::AuroraDsql => STEP_OF_ONE_USER_ON_DSQL,
        };
        let removed = remove(db, Some(self.user), now, db.dialect().choose(EXPIRED), step).await?;
        Ok(removed > 0 || self.runs == 1)
    }
}

/// Deletes the values of the CTE `expired` and updates the counters of their users. Returns the number of values.
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
        ), counted as (
            update user_counters c set keys = c.keys - by_user.keys, bytes = c.bytes - by_user.bytes
            from by_user where c.user_id = by_user.user_id
        )
        select count(*) as removed from removed"
    );
    let parameters: &Parameters<'_> =
        &[(&now, Type::TIMESTAMPTZ), (&user.map(UserId::uuid), Type::UUID), (&step, Type::INT8)];
    let row = db.query_one(Effect::Write, &sql, parameters).await?;
    column(&row, "data_store", "removed")
}
