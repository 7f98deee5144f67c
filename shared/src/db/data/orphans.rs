//! Orphans: rows of users or sessions that were deleted. On PostgreSQL foreign keys prevent them. On DSQL the deletion of an
//! account leaves them if it is interrupted, and so does the first write of a user that is in progress at that moment.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::{Database, Dialect, Effect, Error, Parameters, column};
use crate::domain::{UserId, uuid_v7};

/// Maximum values that a statement deletes, and their bytes. DSQL allows 3000 rows and 10 MiB.
const STEP: i64 = 1000;
const STEP_BYTES: i64 = 8 * 1024 * 1024;
/// Rows that a statement checks.
const PAGE: i64 = 1000;
/// Pages of a table that a run checks.
const MAX_PAGES: usize = 5;
/// Maximum deleted users of a page whose values a run deletes, and maximum statements for each of them.
const MAX_USERS: usize = 20;
const MAX_STEPS: usize = 50;
/// 2026-01-01 in seconds since 1970, before the first account. A run starts at a random time between this and now.
const FIRST_ACCOUNT: u64 = 1_767_225_600;

/// The numbers of deleted orphans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrphansRemoved {
    /// Values of deleted users.
    pub values: i64,
    /// Refresh tokens of ended sessions.
    pub refresh_tokens: i64,
}

/// Deletes orphans. A run checks some thousand rows from a random starting point on, so that repeated runs check all of them.
///
/// Does nothing on PostgreSQL.
///
/// # Errors
/// The database is unavailable.
pub async fn remove_orphans(db: &Database, now: SystemTime) -> Result<OrphansRemoved, Error> {
    let mut removed = OrphansRemoved::default();
    if db.dialect() == Dialect::PostgreSql {
        return Ok(removed);
    }
    let mut after = random_place(now);
    let mut wrapped = false;
    for _ in 0..MAX_PAGES {
        let Some(page) = users(db, after).await? else {
            if wrapped {
                break;
            }
            (after, wrapped) = (Uuid::nil(), true);
            continue;
        };
        for user in page.deleted.into_iter().take(MAX_USERS) {
            removed.values += delete_all_of(db, user, MAX_STEPS).await?;
        }
        after = page.last;
    }
    let mut after = Place { user: random_place(now), session: Uuid::nil(), digest: String::new() };
    let mut wrapped = false;
    for _ in 0..MAX_PAGES {
        let Some((last, refresh_tokens)) = delete_tokens(db, &after).await? else {
            if wrapped {
                break;
            }
            (after, wrapped) = (Place { user: Uuid::nil(), session: Uuid::nil(), digest: String::new() }, true);
            continue;
        };
        removed.refresh_tokens += refresh_tokens;
        after = last;
    }
    Ok(removed)
}

/// Returns an id like those of users who registered at a random moment until `now`.
fn random_place(now: SystemTime) -> Uuid {
    let first = SystemTime::UNIX_EPOCH + Duration::from_secs(FIRST_ACCOUNT);
    let span = now.duration_since(first).map_or(1, |span| span.as_secs().max(1));
    // Without randomness a run starts at the first user.
    let offset = getrandom::u64().map_or(0, |random| random % span);
    uuid_v7(first + Duration::from_secs(offset))
}

struct Users {
    deleted: Vec<UserId>,
    last: Uuid,
}

/// Reads the next page of users who have written, and returns those that were deleted.
async fn users(db: &Database, after: Uuid) -> Result<Option<Users>, Error> {
    const SQL: &str = "
        with page as (
            select user_id from data_clock where user_id > $1 order by user_id limit $2
        )
        select p.user_id, u.id is null as deleted from page p left join users u on u.id = p.user_id order by p.user_id";
    let parameters: &Parameters<'_> = &[(&after, Type::UUID), (&PAGE, Type::INT8)];
    let rows = db.query(Effect::Read, SQL, parameters).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let last = column(last, "data_clock", "user_id")?;
    let mut deleted = Vec::new();
    for row in &rows {
        if column(row, "data_clock", "deleted")? {
            deleted.push(column::<Uuid>(row, "data_clock", "user_id")?.into());
        }
    }
    Ok(Some(Users { deleted, last }))
}

/// Deletes the values of a deleted user in at most `steps` statements, and then the user's rows of `data_usage` and `data_clock`.
/// Returns the number of values.
///
/// The row of `data_clock` is deleted last, because sweeps find the user by it, and a write in progress fails at it.
///
/// # Errors
/// The database is unavailable.
pub(in crate::db) async fn delete_all_of(db: &Database, user: UserId, steps: usize) -> Result<i64, Error> {
    const VALUES: &str = "
        with first as (
            select key, octet_length(key) + octet_length(value) as bytes from data_store
            where user_id = $1 order by key limit $2
        ), step as (
            select key, sum(bytes) over (order by key) as bytes_so_far from first
        ), removed as (
            delete from data_store d using step
            where d.user_id = $1 and d.key = step.key and step.bytes_so_far <= $3
            returning d.key
        )
        select count(*) as removed from removed";
    // A concurrent write may have added values. Its row of `data_clock` must stay, so that a sweep finds them.
    const COUNTS: &str = "
        with usage as (
            delete from data_usage where user_id = $1
        )
        delete from data_clock where user_id = $1 and not exists (select from data_store where user_id = $1)";
    let mut removed = 0;
    for _ in 0..steps {
        let parameters: &Parameters<'_> = &[(&user.uuid(), Type::UUID), (&STEP, Type::INT8), (&STEP_BYTES, Type::INT8)];
        let row = db.query_one(Effect::Write, VALUES, parameters).await?;
        let step: i64 = column(&row, "data_store", "removed")?;
        if step == 0 {
            db.query(Effect::Write, COUNTS, &[(&user.uuid(), Type::UUID)]).await?;
            break;
        }
        removed += step;
    }
    Ok(removed)
}

/// A position in the order of refresh tokens.
struct Place {
    user: Uuid,
    session: Uuid,
    digest: String,
}

/// Deletes the refresh tokens of ended sessions in the next page. Returns the last position and the number of deleted tokens.
async fn delete_tokens(db: &Database, after: &Place) -> Result<Option<(Place, i64)>, Error> {
    const SQL: &str = "
        with page as (
            select user_id, session_id, digest from refresh_tokens
            where (user_id, session_id, digest) > ($1, $2, $3)
            order by user_id, session_id, digest limit $4
        ), orphaned as (
            select p.digest from page p left join sessions s on s.user_id = p.user_id and s.id = p.session_id
            where s.id is null
        ), removed as (
            delete from refresh_tokens r using orphaned where r.digest = orphaned.digest
            returning r.digest
        )
        select user_id, session_id, digest, (select count(*) from removed) as removed from page
        order by user_id desc, session_id desc, digest desc limit 1";
    let parameters: &Parameters<'_> =
        &[(&after.user, Type::UUID), (&after.session, Type::UUID), (&after.digest, Type::TEXT), (&PAGE, Type::INT8)];
    let Some(row) = db.query_opt(Effect::Write, SQL, parameters).await? else { return Ok(None) };
    const TABLE: &str = "refresh_tokens";
    let last = Place {
        user: column(&row, TABLE, "user_id")?,
        session: column(&row, TABLE, "session_id")?,
        digest: column(&row, TABLE, "digest")?,
    };
    Ok(Some((last, column(&row, TABLE, "removed")?)))
}
