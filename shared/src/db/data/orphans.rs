//! Orphans: values of deleted users.
//!
//! On PostgreSQL, foreign keys prevent them. On DSQL they remain when a deletion exceeds the limits of a transaction,
//! or when a write commits while the account is deleted.

use std::time::SystemTime;

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::sweep::random_user_id;
use crate::db::{Database, Dialect, Effect, Error, Parameters, column};
use crate::domain::UserId;

/// Maximum number of values that one statement deletes. DSQL allows 3000 rows in a transaction.
const STEP: i64 = 1000;
/// Maximum bytes of values that one statement deletes. DSQL allows 10 MiB in a transaction.
const STEP_BYTES: i64 = 8 * 1024 * 1024;
/// Rows that one statement examines.
const PAGE: i64 = 1000;
/// Pages that a run examines.
const MAX_PAGES: usize = 5;
/// Deleted users of a page whose values a run removes.
const MAX_USERS: usize = 20;
/// Statements that a run spends on the values of one deleted user.
const MAX_STEPS: usize = 50;

/// Removes values of deleted users among some thousand users and returns how many it removed. On PostgreSQL it does nothing.
///
/// Each run starts at a random position, so that repeated runs reach all rows.
///
/// # Errors
/// The database is unavailable.
pub async fn remove_orphans(db: &Database, now: SystemTime) -> Result<i64, Error> {
    match db.dialect() {
        Dialect::PostgreSql => Ok(0),
        Dialect::AuroraDsql => remove_values(db, random_user_id(now)).await,
    }
}

/// Removes values of deleted users, from the user `start` on and then from the beginning of the table.
async fn remove_values(db: &Database, start: Uuid) -> Result<i64, Error> {
    let (mut after, mut wrapped, mut removed) = (start, false, 0);
    for _ in 0..MAX_PAGES {
        let Some(page) = user_page(db, after).await? else {
            if wrapped {
                break;
            }
            (after, wrapped) = (Uuid::nil(), true);
            continue;
        };
        for user in page.deleted.into_iter().take(MAX_USERS) {
            removed += delete_all_of(db, user, MAX_STEPS).await?;
        }
        after = page.last;
    }
    Ok(removed)
}

/// A page of the users that have a row in `user_counters`.
struct UserPage {
    /// Those of them whose account is deleted.
    deleted: Vec<UserId>,
    /// The last user of the page.
    last: Uuid,
}

/// Reads the page that follows the user `after`; none at the end of the table.
async fn user_page(db: &Database, after: Uuid) -> Result<Option<UserPage>, Error> {
    const SQL: &str = "
        with page as (
            select user_id from user_counters where user_id > $1 order by user_id limit $2
        )
        select p.user_id, u.id is null as deleted from page p left join users u on u.id = p.user_id order by p.user_id";
    let parameters: &Parameters<'_> = &[(&after, Type::UUID), (&PAGE, Type::INT8)];
    let rows = db.query(Effect::Read, SQL, parameters).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let last = column(last, "user_counters", "user_id")?;
    let mut deleted = Vec::new();
    for row in &rows {
        if column(row, "user_counters", "deleted")? {
            deleted.push(column::<Uuid>(row, "user_counters", "user_id")?.into());
        }
    }
    Ok(Some(UserPage { deleted, last }))
}

/// Deletes the values of a deleted user in at most `max_steps` statements, and then the user's row of `user_counters`.
/// Returns the number of deleted values.
///
/// The counters are deleted last: [`remove_orphans`] finds remaining values by them, and without them no write is possible.
///
/// # Errors
/// The database is unavailable.
pub(in crate::db) async fn delete_all_of(db: &Database, user: UserId, max_steps: usize) -> Result<i64, Error> {
    const VALUES: &str = "
        with first as (
            select key, octet_length(key) + octet_length(value) as bytes from data_store
            where user_id = $1 order by key limit $2
        ), measured as (
            select key, sum(bytes) over (order by key) as bytes_so_far from first
        ), removed as (
            delete from data_store d using measured m
            where d.user_id = $1 and d.key = m.key and m.bytes_so_far <= $3
            returning d.key
        )
        select count(*) as removed from removed";
    // A concurrent write may have stored values since. Without the counters no run would find them.
    const COUNTERS: &str =
        "delete from user_counters where user_id = $1 and not exists (select from data_store where user_id = $1)";
    let mut removed = 0;
    for _ in 0..max_steps {
        let parameters: &Parameters<'_> = &[(&user.uuid(), Type::UUID), (&STEP, Type::INT8), (&STEP_BYTES, Type::INT8)];
        let row = db.query_one(Effect::Write, VALUES, parameters).await?;
        let step: i64 = column(&row, "data_store", "removed")?;
        if step == 0 {
            db.query(Effect::Write, COUNTERS, &[(&user.uuid(), Type::UUID)]).await?;
            break;
        }
        removed += step;
    }
    Ok(removed)
}
