//! The tables `data_store`, `data_clock` and `data_usage`.
//!
//! Every statement begins with the caller's session, so that a session that has ended reads and writes nothing. Writers of
//! one user queue up at their row of `data_clock`, which numbers their writes; what they find after that is what the one
//! before them left.

use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{Database, Effect, Error, column};
use crate::auth::access_token::Session;
use crate::config::Quota;
use crate::domain::{Condition, Entry, Key, Value, Version, VersionMatch};

const TABLE: &str = "data_store";

/// Why a data request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The session was signed out, revoked, has expired, or its user is gone.
    #[error("the session has ended")]
    SessionEnded,
    /// The user has no such key.
    #[error("the key does not exist")]
    NotFound,
    /// The user has such a key already.
    #[error("the key exists")]
    Exists,
    /// What is stored has none of the versions that were named.
    #[error("the value has another version")]
    VersionDiffers,
    /// The user would have more than the quota allows.
    #[error("the quota is used up")]
    QuotaExceeded,
    /// Anything else.
    #[error(transparent)]
    Database(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.constraint() {
            Some("data_usage_within_quota") => Self::QuotaExceeded,
            _ if error.owner_is_gone() => Self::SessionEnded,
            _ => Self::Database(error),
        }
    }
}

/// What a read found.
pub enum Found {
    /// The value, and it is not one that the caller has already.
    Entry(Entry),
    /// The value has this version, which the caller has already.
    Known(Version),
}

/// A value to be written.
pub struct Draft {
    /// Where it goes.
    pub key: Key,
    /// What it is.
    pub value: Value,
    /// When it will be gone, if it ever will. A write without it makes the value last.
    pub expires_at: Option<SystemTime>,
}

/// What a write left behind.
pub struct Written {
    /// The entry as it now stands.
    pub entry: Entry,
    /// Whether the key came into being by this write.
    pub created: bool,
}

/// Reads the value under `key`. Its text is left out if its version is one that the caller knows.
///
/// # Errors
/// `SessionEnded`, `NotFound`, or the database is out of reach.
pub async fn find(
    db: &Database,
    session: Session,
    key: &Key,
    known: &VersionMatch,
    now: SystemTime,
) -> Result<Found, Refusal> {
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        )
        select d.version, case when $5::bigint[] is null or d.version = any($5) then null else d.value end as value,
               d.created_at, d.updated_at, d.expires_at
        from session
        left join data_store d
            on d.user_id = session.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)";
    let row = db
        .query_opt(
            Effect::Read,
            SQL,
            &[
                (&session.user.uuid(), Type::UUID),
                (&session.id.uuid(), Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&key.as_str(), Type::TEXT),
                (&numbers(known), Type::INT8_ARRAY),
            ],
        )
        .await?
        .ok_or(Refusal::SessionEnded)?;
    let Some(version) = column::<Option<i64>>(&row, TABLE, "version")? else {
        return Err(Refusal::NotFound);
    };
    let Some(text) = column::<Option<String>>(&row, TABLE, "value")? else {
        return Ok(Found::Known(version.into()));
    };
    let value = Value::from_stored(text).map_err(|error| corrupt(Box::new(error)))?;
    Ok(Found::Entry(entry(&row, key.clone(), value, version)?))
}

/// Writes a value if the condition holds for what is stored.
///
/// # Errors
/// `SessionEnded`, what the condition says, `QuotaExceeded`, or the database is out of reach.
pub async fn write(
    db: &Database,
    session: Session,
    draft: Draft,
    condition: &Condition,
    quota: Quota,
    now: SystemTime,
) -> Result<Written, Refusal> {
    match condition {
        Condition::Absent => insert(db, session, draft, Replace::Never, quota, now).await,
        Condition::None => insert(db, session, draft, Replace::Always, quota, now).await,
        Condition::Present(versions) => update(db, session, draft, versions, quota, now).await,
    }
}

/// What an insert does to a value that is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replace {
    Never,
    Always,
}

/// Inserts a value, over one that has expired in any case.
async fn insert(
    db: &Database,
    session: Session,
    draft: Draft,
    replace: Replace,
    quota: Quota,
    now: SystemTime,
) -> Result<Written, Refusal> {
    // `octet_length` of a stored text does not fetch or unpack it.
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), clock as (
            insert into data_clock as c (user_id, version)
            select user_id, 1 from session
            on conflict (user_id) do update set version = c.version + 1
            returning user_id, version
        ), written as (
            insert into data_store as d (user_id, key, value, version, first_version, created_at, updated_at, expires_at)
            select user_id, $4, $5, version, version, $3, $3, $6 from clock
            on conflict (user_id, key) do update set
                value = excluded.value,
                version = excluded.version,
                first_version = case when d.expires_at <= $3 then excluded.version else d.first_version end,
                created_at = case when d.expires_at <= $3 then excluded.created_at else d.created_at end,
                updated_at = excluded.updated_at,
                expires_at = excluded.expires_at,
                replaced_bytes = octet_length(d.key) + octet_length(d.value)
            where $7 or d.expires_at <= $3
            returning d.user_id, d.version, d.first_version, d.created_at, d.updated_at, d.expires_at, d.replaced_bytes
        ), usage as (
            insert into data_usage as u (user_id, keys, bytes, keys_allowed, bytes_allowed)
            select user_id,
                   case when replaced_bytes is null then 1 else 0 end,
                   octet_length($4) + octet_length($5) - coalesce(replaced_bytes, 0),
                   $8, $9
            from written
            on conflict (user_id) do update set
                keys = u.keys + excluded.keys,
                bytes = u.bytes + excluded.bytes,
                keys_allowed = greatest(excluded.keys_allowed, u.keys),
                bytes_allowed = greatest(excluded.bytes_allowed, u.bytes)
        )
        select w.version, w.version = w.first_version as created, w.created_at, w.updated_at, w.expires_at
        from session left join written w on w.user_id = session.user_id";
    let Draft { key, value, expires_at } = draft;
    let row = db
        .query_opt(
            Effect::Write,
            SQL,
            &[
                (&session.user.uuid(), Type::UUID),
                (&session.id.uuid(), Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&key.as_str(), Type::TEXT),
                (&value.as_str(), Type::TEXT),
                (&expires_at, Type::TIMESTAMPTZ),
                (&(replace == Replace::Always), Type::BOOL),
                (&quota.keys, Type::INT8),
                (&quota.bytes, Type::INT8),
            ],
        )
        .await?
        .ok_or(Refusal::SessionEnded)?;
    let Some(version) = column::<Option<i64>>(&row, TABLE, "version")? else {
        return Err(Refusal::Exists);
    };
    let created = column(&row, TABLE, "created")?;
    Ok(Written { entry: entry(&row, key, value, version)?, created })
}

/// Changes a value that exists in such a version.
async fn update(
    db: &Database,
    session: Session,
    draft: Draft,
    versions: &VersionMatch,
    quota: Quota,
    now: SystemTime,
) -> Result<Written, Refusal> {
    // `target` is what there was when the statement began; whether `written` found it unchanged, the row lock decides.
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), target as (
            select d.user_id from session join data_store d
                on d.user_id = session.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)
        ), clock as (
            insert into data_clock as c (user_id, version)
            select user_id, 1 from target
            on conflict (user_id) do update set version = c.version + 1
            returning user_id, version
        ), written as (
            update data_store as d set
                value = $5,
                version = clock.version,
                updated_at = $3,
                expires_at = $6,
                replaced_bytes = octet_length(d.key) + octet_length(d.value)
            from clock
            where d.user_id = clock.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)
                and ($7::bigint[] is null or d.version = any($7))
            returning d.user_id, d.version, d.created_at, d.updated_at, d.expires_at, d.replaced_bytes
        ), usage as (
            update data_usage as u set
                bytes = u.bytes + octet_length($4) + octet_length($5) - written.replaced_bytes,
                keys_allowed = greatest($8, u.keys),
                bytes_allowed = greatest($9, u.bytes)
            from written where u.user_id = written.user_id
        )
        select w.version, w.created_at, w.updated_at, w.expires_at, t.user_id is not null as found
        from session
        left join target t on t.user_id = session.user_id
        left join written w on w.user_id = session.user_id";
    let Draft { key, value, expires_at } = draft;
    let row = db
        .query_opt(
            Effect::Write,
            SQL,
            &[
                (&session.user.uuid(), Type::UUID),
                (&session.id.uuid(), Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&key.as_str(), Type::TEXT),
                (&value.as_str(), Type::TEXT),
                (&expires_at, Type::TIMESTAMPTZ),
                (&numbers(versions), Type::INT8_ARRAY),
                (&quota.keys, Type::INT8),
                (&quota.bytes, Type::INT8),
            ],
        )
        .await?
        .ok_or(Refusal::SessionEnded)?;
    let Some(version) = column::<Option<i64>>(&row, TABLE, "version")? else {
        return Err(untouched(&row)?);
    };
    Ok(Written { entry: entry(&row, key, value, version)?, created: false })
}

/// Deletes a value that exists in such a version.
///
/// # Errors
/// `SessionEnded`, `NotFound`, `VersionDiffers`, or the database is out of reach.
pub async fn delete(
    db: &Database,
    session: Session,
    key: &Key,
    versions: &VersionMatch,
    now: SystemTime,
) -> Result<(), Refusal> {
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), target as (
            select d.user_id from session join data_store d
                on d.user_id = session.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)
        ), deleted as (
            delete from data_store as d using session
            where d.user_id = session.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)
                and ($5::bigint[] is null or d.version = any($5))
            returning d.user_id, octet_length(d.key) + octet_length(d.value) as bytes
        ), usage as (
            update data_usage as u set keys = u.keys - 1, bytes = u.bytes - deleted.bytes
            from deleted where u.user_id = deleted.user_id
        )
        select deleted.user_id is not null as deleted, t.user_id is not null as found
        from session
        left join target t on t.user_id = session.user_id
        left join deleted on deleted.user_id = session.user_id";
    let row = db
        .query_opt(
            Effect::Write,
            SQL,
            &[
                (&session.user.uuid(), Type::UUID),
                (&session.id.uuid(), Type::UUID),
                (&now, Type::TIMESTAMPTZ),
                (&key.as_str(), Type::TEXT),
                (&numbers(versions), Type::INT8_ARRAY),
            ],
        )
        .await?
        .ok_or(Refusal::SessionEnded)?;
    if column(&row, TABLE, "deleted")? { Ok(()) } else { Err(untouched(&row)?) }
}

/// Why a statement that found its session changed nothing: there was no value, or not in a version that was named. A value
/// that vanished meanwhile counts as one in another version.
fn untouched(row: &Row) -> Result<Refusal, Error> {
    Ok(if column(row, TABLE, "found")? { Refusal::VersionDiffers } else { Refusal::NotFound })
}

/// The numbers to look for; null stands for any.
fn numbers(versions: &VersionMatch) -> Option<Vec<i64>> {
    match versions {
        VersionMatch::Any => None,
        VersionMatch::Among(versions) => Some(versions.iter().map(|version| version.number()).collect()),
    }
}

fn entry(row: &Row, key: Key, value: Value, version: i64) -> Result<Entry, Error> {
    Ok(Entry {
        key,
        value,
        version: version.into(),
        created_at: column(row, TABLE, "created_at")?,
        updated_at: column(row, TABLE, "updated_at")?,
        expires_at: column(row, TABLE, "expires_at")?,
    })
}

fn corrupt(source: crate::error::BoxError) -> Error {
    Error::Corrupt { table: TABLE, source }
}
