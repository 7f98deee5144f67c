use std::time::SystemTime;

use tokio_postgres::types::Type;

use crate::db::{Database, Effect, Error, column};
use crate::domain::UserId;

/// Rows that one statement removes at most: some milliseconds, after which everybody else has their turn.
const STEP: i64 = 500;

/// Removes some values that have expired, of one user or of all, the oldest first: how many, and none if there were none.
/// Nobody can see them any more; they take up space and count against their owner's quota.
///
/// It passes over rows that somebody is about to replace, so that nobody waits for it and it waits for nobody.
///
/// # Errors
/// The database is out of reach.
pub async fn sweep(db: &Database, user: Option<UserId>, now: SystemTime) -> Result<i64, Error> {
    const SQL: &str = "
        with expired as (
            select user_id, key from data_store
            where expires_at <= $1 and ($2::uuid is null or user_id = $2)
            order by expires_at limit $3
            for update skip locked
        ), removed as (
            delete from data_store d using expired e where d.user_id = e.user_id and d.key = e.key
            returning d.user_id, octet_length(d.key) + octet_length(d.value) as bytes
        ), by_user as (
            select user_id, count(*) as keys, sum(bytes) as bytes from removed group by user_id
        ), usage as (
            update data_usage u set keys = u.keys - by_user.keys, bytes = u.bytes - by_user.bytes
            from by_user where u.user_id = by_user.user_id
        )
        select count(*) as removed from removed";
    let parameters: &crate::db::Parameters<'_> =
        &[(&now, Type::TIMESTAMPTZ), (&user.map(UserId::uuid), Type::UUID), (&STEP, Type::INT8)];
    let row = db.query_one(Effect::Write, SQL, parameters).await?;
    column(&row, "data_store", "removed")
}
