//! Rows whose owner is gone. PostgreSQL has none: foreign keys refuse and remove them. On DSQL they are what the end of an
//! account leaves over, and what a first write leaves that was under way at that moment.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::{Database, Dialect, Effect, Error, Parameters, column};
use crate::domain::{UserId, uuid_v7};

/// Values that one statement removes at most, and their bytes: DSQL takes 3000 rows and 10 MiB.
const STEP: i64 = 1000;
const STEP_BYTES: i64 = 8 * 1024 * 1024;
/// Rows that one statement looks at.
const PAGE: i64 = 1000;
/// Pages of a table that one run looks at.
const MAX_PAGES: usize = 5;
/// Users that are gone whose values one run removes, of each page, and the statements that it spends on one of them.
const MAX_USERS: usize = 20;
const MAX_STEPS: usize = 50;
/// Before the first account, 2026-01-01: from here to now a run picks where it begins.
const FIRST: u64 = 1_767_225_600;

/// What a run removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrphansRemoved {
    /// Values of users that are gone.
    pub values: i64,
    /// Refresh tokens of sessions that have ended.
    pub refresh_tokens: i64,
}

/// Removes values of users that are gone and refresh tokens of sessions that have ended, as far as it comes across them: it
/// looks at some thousand rows, from a place that chance decides, so that run by run it gets to all of them.
///
/// On PostgreSQL there are none, and it does not look.
///
/// # Errors
/// The database is out of reach.
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
        for user in page.gone.into_iter().take(MAX_USERS) {
            removed.values += delete_all_of(db, user, MAX_STEPS).await?;
        }
        after = page.last;
    }
    let mut after = Place { user: random_place(now), session: Uuid::nil(), digest: String::new() };
    let mut wrapped = false;
    for _ in 0..MAX_PAGES {
        let Some((last, refresh_tokens)) = forget_tokens(db, &after).await? else {
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
    let first = SystemTime::UNIX_EPOCH + Duration::from_secs(FIRST);
    let span = now.duration_since(first).map_or(1, |span| span.as_secs().max(1));
    // Without randomness a run begins at the first user.
    let offset = getrandom::u64().map_or(0, |random| random % span);
    uuid_v7(first + Duration::from_secs(offset))
}

struct Users {
    gone: Vec<UserId>,
    last: Uuid,
}

/// The next users who have written: those of them that are gone.
async fn users(db: &Database, after: Uuid) -> Result<Option<Users>, Error> {
    const SQL: &str = "
        with page as (
            select user_id from data_clock where user_id > $1 order by user_id limit $2
        )
        select p.user_id, u.id is null as gone from page p left join users u on u.id = p.user_id order by p.user_id";
    let parameters: &Parameters<'_> = &[(&after, Type::UUID), (&PAGE, Type::INT8)];
    let rows = db.query(Effect::Read, SQL, parameters).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let last = column(last, "data_clock", "user_id")?;
    let mut gone = Vec::new();
    for row in &rows {
        if column(row, "data_clock", "gone")? {
            gone.push(column::<Uuid>(row, "data_clock", "user_id")?.into());
        }
    }
    Ok(Some(Users { gone, last }))
}

/// Removes the values of a user who is gone, in at most so many steps, and when none are left what was counted of them: how
/// many values.
///
/// The row of `data_clock` goes last. By it a sweep finds what is left, and a write that is under way fails at it.
///
/// # Errors
/// The database is out of reach.
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
    // A write that was under way may have come in between: its values need their row of `data_clock` to be found.
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

/// Where in the order of sessions and their tokens.
struct Place {
    user: Uuid,
    session: Uuid,
    digest: String,
}

/// Removes those of the next refresh tokens whose session has ended: the last one it looked at, and how many.
async fn forget_tokens(db: &Database, after: &Place) -> Result<Option<(Place, i64)>, Error> {
    const SQL: &str = "
        with page as (
            select user_id, session_id, digest from refresh_tokens
            where (user_id, session_id, digest) > ($1, $2, $3)
            order by user_id, session_id, digest limit $4
        ), over as (
            select p.digest from page p left join sessions s on s.user_id = p.user_id and s.id = p.session_id
            where s.id is null
        ), removed as (
            delete from refresh_tokens r using over where r.digest = over.digest
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
