//! Removal of expired sessions and mailed codes, of outdated counters, and of old events. Nothing needs them any more, but
//! sessions and events have the network and the program of a user. [`super::data`] removes expired values, and
//! [`super::known_networks`] unused networks.

use std::time::{Duration, SystemTime};

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::dialect::{Sql, sql};
use super::{Database, Effect, Error, Parameters, column};
use crate::auth::throttle::FORGET_AFTER;
use crate::domain::{EVENT_LIFETIME, uuid_v7};

/// Rows that one statement examines.
pub(super) const PAGE: i64 = 1000;
/// Pages that a run examines. Each takes about a millisecond.
pub(super) const MAX_PAGES: usize = 20;
/// Maximum number of counters or codes that one statement removes.
const STEP: i64 = 500;
/// Maximum number of statements that a run spends on each of these tables.
const MAX_STEPS: usize = 20;
/// 2000-01-01 and 2026-01-01 in seconds since 1970. Imported accounts may be older than the latter, and others are not.
const FIRST_ACCOUNTS: [u64; 2] = [946_684_800, 1_767_225_600];

/// Removes expired sessions among some thousand and returns how many it removed.
///
/// It reads sessions in the order of their primary key: an index on the time of expiry would be changed by each refresh.
/// Each run starts at a random user, so that repeated runs reach all sessions.
///
/// # Errors
/// The database is unavailable.
pub async fn remove_expired_sessions(db: &Database, now: SystemTime) -> Result<i64, Error> {
    let (mut after, mut wrapped, mut removed) = ((random_user_id(now), Uuid::nil()), false, 0);
    for _ in 0..MAX_PAGES {
        let page = remove_expired_sessions_of_page(db, after, now).await?;
        removed += page.removed;
        match page.last {
            Some(last) => after = last,
            None if wrapped => break,
            None => (after, wrapped) = ((Uuid::nil(), Uuid::nil()), true),
        }
    }
    Ok(removed)
}

/// A page of `sessions`.
struct SessionPage {
    /// The number of sessions that were removed from it.
    removed: i64,
    /// The user and the id of its last session, if sessions may follow it.
    last: Option<(Uuid, Uuid)>,
}

/// Removes expired sessions from the page that follows the session `after`. On PostgreSQL it skips locked rows.
async fn remove_expired_sessions_of_page(
    db: &Database,
    after: (Uuid, Uuid),
    now: SystemTime,
) -> Result<SessionPage, Error> {
    const TABLE: &str = "sessions";
    const SQL: Sql = sql!(
        "
        with page as (
            select user_id, id, expires_at from sessions where (user_id, id) > ($1, $2) order by user_id, id limit $3
        ), expired as (
            select s.user_id, s.id from page p join sessions s on s.user_id = p.user_id and s.id = p.id
            where p.expires_at <= $4 and s.expires_at <= $4
            for update of s"
        postgresql(" skip locked")
        "
        ), removed as (
            delete from sessions s using expired e where s.user_id = e.user_id and s.id = e.id
            returning s.id
        )
        select user_id, id, (select count(*) from page) as examined, (select count(*) from removed) as removed
        from page order by user_id desc, id desc limit 1"
    );
    let (user, id) = after;
    let parameters: &Parameters<'_> =
        &[(&user, Type::UUID), (&id, Type::UUID), (&PAGE, Type::INT8), (&now, Type::TIMESTAMPTZ)];
    let Some(row) = db.query_opt(Effect::Write, db.dialect().choose(SQL), parameters).await? else {
        return Ok(SessionPage { removed: 0, last: None });
    };
    let last = (column(&row, TABLE, "user_id")?, column(&row, TABLE, "id")?);
    let is_full = column::<i64>(&row, TABLE, "examined")? == PAGE;
    Ok(SessionPage { removed: column(&row, TABLE, "removed")?, last: is_full.then_some(last) })
}

/// Makes the statement that removes the rows of a table whose time has passed, the oldest first.
macro_rules! remove_outdated {
    ($table:literal, $key:literal, $time:literal) => {
        sql!(
            "with outdated as (select " $key " from " $table " where " $time " <= $1 order by " $time " limit $2 for update"
            postgresql(" skip locked")
            "), removed as (
                delete from " $table " c using outdated o where c." $key " = o." $key "
                returning c." $key "
            )
            select count(*) as removed from removed"
        )
    };
}

/// Removes outdated counters of failed password checks, the oldest first, and returns how many it removed.
///
/// # Errors
/// The database is unavailable.
pub async fn remove_outdated_failures(db: &Database, now: SystemTime) -> Result<i64, Error> {
    remove_in_steps(db, remove_outdated!("sign_in_failures", "subject", "failed_at"), now - FORGET_AFTER).await
}

/// Removes the rows of buckets that are full, and returns how many it removed.
///
/// # Errors
/// The database is unavailable.
pub async fn remove_full_buckets(db: &Database, now: SystemTime) -> Result<i64, Error> {
    remove_in_steps(db, remove_outdated!("rate_limits", "subject", "full_at"), now).await
}

/// Removes mailed codes that have expired, and returns how many it removed.
///
/// # Errors
/// The database is unavailable.
pub async fn remove_expired_codes(db: &Database, now: SystemTime) -> Result<i64, Error> {
    remove_in_steps(db, remove_outdated!("mailed_codes", "id", "expires_at"), now).await
}

/// Removes events of accounts that are older than 90 days, and returns how many it removed.
///
/// # Errors
/// The database is unavailable.
pub async fn remove_old_events(db: &Database, now: SystemTime) -> Result<i64, Error> {
    let until = uuid_v7(now - EVENT_LIFETIME);
    remove_up_to(db, remove_outdated!("account_events", "id", "id"), (&until, Type::UUID)).await
}

/// Repeats a statement that removes up to [`STEP`] rows older than a time.
async fn remove_in_steps(db: &Database, sql: Sql, until: SystemTime) -> Result<i64, Error> {
    remove_up_to(db, sql, (&until, Type::TIMESTAMPTZ)).await
}

/// Repeats a statement that removes up to [`STEP`] rows whose time, or id that grows with it, is at most `until`.
async fn remove_up_to(db: &Database, sql: Sql, until: (&(dyn ToSql + Sync), Type)) -> Result<i64, Error> {
    let parameters: &Parameters<'_> = &[until, (&STEP, Type::INT8)];
    let mut removed = 0;
    for _ in 0..MAX_STEPS {
        let row = db.query_one(Effect::Write, db.dialect().choose(sql), parameters).await?;
        let step: i64 = column(&row, "no table", "removed")?;
        removed += step;
        if step < STEP {
            break;
        }
    }
    Ok(removed)
}

/// Returns an id at which a run starts. Ids of users begin with the time of registration, so it is one of a random time, since the
/// first account of the service or since long before it. One time in three it is any id, because imported users may have others.
pub(super) fn random_user_id(now: SystemTime) -> Uuid {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        return Uuid::nil();
    }
    let random = u128::from_be_bytes(bytes);
    let Some(first) = FIRST_ACCOUNTS.get((random % 3) as usize) else {
        return Uuid::from_u128(random);
    };
    let first = SystemTime::UNIX_EPOCH + Duration::from_secs(*first);
    let span = now.duration_since(first).map_or(1, |span| span.as_secs().max(1));
    uuid_v7(first + Duration::from_secs((random >> 64) as u64 % span))
}
