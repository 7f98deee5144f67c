//! Values of deleted users: the table `deleted_users`.
//!
//! A user may have more values than one statement can delete in time, or than a transaction on DSQL may change. So the statement
//! that deletes an account only records the user here. From then on no session, no counters, and thus no route and no write
//! reach the values. Further statements delete them in steps, and then the record. If these are interrupted, `data-sweep`
//! continues.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::clock::Stopwatch;
use crate::db::{Database, Dialect, Effect, Error, Parameters, column};
use crate::domain::UserId;

const TABLE: &str = "deleted_users";

/// Maximum number of values that one statement deletes: 125 MiB of the largest ones.
const STEP: i64 = 500;
/// The same on DSQL, which allows 10 MiB in a transaction: 7.5 MiB. The size of a value would tell, but the role that deletes
/// accounts may not read values.
const STEP_ON_DSQL: i64 = 30;
/// Maximum number of deleted users whose values a run of `data-sweep` removes.
const MAX_USERS: i64 = 100;
/// Time after which a run of `data-sweep` leaves the rest to the next one. Its timeout is two minutes.
const RUN_LIMIT: Duration = Duration::from_mins(1);

/// Removes the values of deleted users, of those first who were deleted first, and returns how many it removed.
///
/// # Errors
/// The database is unavailable.
pub async fn remove_values_of_deleted_users(db: &Database, now: SystemTime) -> Result<i64, Error> {
    const SQL: &str = "select user_id from deleted_users where deleted_at <= $1 order by deleted_at limit $2";
    let (stopwatch, mut removed) = (Stopwatch::start(), 0);
    for row in db.query(Effect::Read, SQL, &[(&now, Type::TIMESTAMPTZ), (&MAX_USERS, Type::INT8)]).await? {
        let user = column::<Uuid>(&row, TABLE, "user_id")?.into();
        removed += delete_values_of(db, user, RUN_LIMIT.saturating_sub(stopwatch.elapsed())).await?;
    }
    Ok(removed)
}

/// Deletes the values of a deleted user until `limit` has passed, and the user's record if no values remain. Returns the number of
/// deleted values. Concurrent calls are safe.
///
/// # Errors
/// The database is unavailable.
pub(in crate::db) async fn delete_values_of(db: &Database, user: UserId, limit: Duration) -> Result<i64, Error> {
    const VALUES: &str = "
        with first as (
            select key from data_store where user_id = $1 order by key limit $2
        ), removed as (
            delete from data_store d using first where d.user_id = $1 and d.key = first.key
            returning d.key
        )
        select count(*) as removed from removed";
    const RECORD: &str =
        "delete from deleted_users where user_id = $1 and not exists (select from data_store where user_id = $1)";
    let step = match db.dialect() {
        Dialect::PostgreSql => STEP,
        Dialect::AuroraDsql => STEP_ON_DSQL,
    };
    let (stopwatch, mut removed) = (Stopwatch::start(), 0);
    while stopwatch.elapsed() < limit {
        let parameters: &Parameters<'_> = &[(&user.uuid(), Type::UUID), (&step, Type::INT8)];
        let row = db.query_one(Effect::Write, VALUES, parameters).await?;
        let number: i64 = column(&row, "data_store", "removed")?;
        removed += number;
        if number < step {
            db.query(Effect::Write, RECORD, &[(&user.uuid(), Type::UUID)]).await?;
            break;
        }
    }
    Ok(removed)
}
