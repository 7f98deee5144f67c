use std::time::SystemTime;

use tokio_postgres::types::Type;

use crate::db::dialect::{Sql, sql};
use crate::db::{Database, Dialect, Effect, Error, Parameters, column};
use crate::domain::UserId;

/// Rows that one statement of a sweep through all users removes at most: some milliseconds, after which everybody else has
/// their turn.
const STEP: i64 = 500;
/// Rows that one statement removes at most for a user whose write waits for it.
const STEP_OF_ONE_USER: i64 = 5000;
/// The same on DSQL, which changes 3000 rows at once.
const STEP_OF_ONE_USER_ON_DSQL: i64 = 1000;
/// How often a write that is over its quota has expired values removed and is tried again.
const MAX_SWEEPS: usize = 3;

macro_rules! expired {
    () => {
        "
            select user_id, key from data_store
            where expires_at <= $1 and ($2::uuid is null or user_id = $2)
            "
    };
}

/// Of the first values those that have 8 MiB together: DSQL changes 10 at once.
macro_rules! few_enough {
    () => {
        ", measured as (
            select f.user_id, f.key, sum(octet_length(d.key) + octet_length(d.value)) over (order by f.user_id, f.key) as bytes
            from first f join data_store d on d.user_id = f.user_id and d.key = f.key
        ), expired as (
            select user_id, key from measured where bytes <= 8 * 1024 * 1024
        )"
    };
}

/// Removes some values that have expired, the oldest first: how many, and none if there were none. Nobody can see them any
/// more; they take up space and count against their owner's quota.
///
/// On PostgreSQL it passes over rows that somebody is about to replace; on DSQL it is undone and tried again. Those whose
/// values it removes wait for it if they write.
///
/// # Errors
/// The database is out of reach.
pub async fn purge_expired(db: &Database, now: SystemTime) -> Result<i64, Error> {
    const EXPIRED: Sql = sql!(
        postgresql("expired as (")
        dsql("first as (")
        expired!()
        "order by expires_at limit $3"
        postgresql(" for update skip locked")
        ")"
        dsql(few_enough!())
    );
    remove(db, None, now, db.dialect().choose(EXPIRED), STEP).await
}

/// What is known about a write that is over its quota.
pub(super) struct Reclaim {
    user: UserId,
    sweeps: usize,
}

impl Reclaim {
    pub(super) fn new(user: UserId) -> Self {
        Self { user, sweeps: 0 }
    }

    /// Makes room by removing what has expired: whether it makes sense to try again. It does once even if there was nothing to
    /// remove: another request may just have done it.
    pub(super) async fn run(&mut self, db: &Database, now: SystemTime) -> Result<bool, Error> {
        if self.sweeps == MAX_SWEEPS {
            return Ok(false);
        }
        self.sweeps += 1;
        // In the order in which writers lock them, and waiting for them: what they leave is what counts.
        const EXPIRED: Sql = sql!(
            postgresql("expired as (")
            dsql("first as (")
            expired!()
            "order by key limit $3"
            postgresql(" for update")
            ")"
            dsql(few_enough!())
        );
        let step = match db.dialect() {
            Dialect::PostgreSql => STEP_OF_ONE_USER,
            Dialect::AuroraDsql => STEP_OF_ONE_USER_ON_DSQL,
        };
        let removed = remove(db, Some(self.user), now, db.dialect().choose(EXPIRED), step).await?;
        Ok(removed > 0 || self.sweeps == 1)
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
