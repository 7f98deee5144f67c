use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::purge::Reclaim;
use super::{Error, TABLE, entry, numbers};
use crate::db::{self, Database, Effect, column};
use crate::domain::{Condition, Entry, Key, Quota, Session, Value, VersionMatch};

/// A value to write.
pub struct NewEntry {
    /// Key of the value.
    pub key: Key,
    /// The value.
    pub value: Value,
    /// Time at which it expires. `None` removes the expiry of the value that it replaces.
    pub expires_at: Option<SystemTime>,
}

/// The result of a write.
pub struct Written {
    /// The written entry.
    pub entry: Entry,
    /// Whether the write created the key.
    pub created: bool,
}

/// Writes a value if the stored value meets the condition.
///
/// # Errors
/// `SessionEnded`, the error of the condition, `QuotaExceeded`, or the database is unavailable.
pub async fn write(
    db: &Database,
    session: Session,
    new: NewEntry,
    condition: &Condition,
    quota: Quota,
    now: SystemTime,
) -> Result<Written, Error> {
    let mut reclaim = Reclaim::new(session.user);
    loop {
        let written = match condition {
            Condition::Absent => insert(db, session, &new, Replace::Never, quota, now).await,
            Condition::None => insert(db, session, &new, Replace::Always, quota, now).await,
            Condition::Present(versions) => update(db, session, &new, versions, quota, now).await,
        };
        match written {
            Err(Error::QuotaExceeded) if reclaim.run(db, now).await? => {}
            written => {
                let (row, created) = written?;
                let version = column(&row, TABLE, "version")?;
                return Ok(Written { entry: entry(&row, new.key, Some(new.value), version)?, created });
            }
        }
    }
}

/// Whether an insert replaces an existing value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replace {
    Never,
    Always,
}

/// Inserts a value. Replaces an existing one only with `Replace::Always`, and an expired one always. Returns the row and whether
/// the key is new.
async fn insert(
    db: &Database,
    session: Session,
    new: &NewEntry,
    replace: Replace,
    quota: Quota,
    now: SystemTime,
) -> Result<(Row, bool), Error> {
    // `octet_length` of a stored text does not read or decompress it.
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
    let NewEntry { key, value, expires_at } = new;
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
        .ok_or(db::Error::SessionEnded)?;
    if column::<Option<i64>>(&row, TABLE, "version")?.is_none() {
        return Err(Error::Exists);
    }
    let created = column(&row, TABLE, "created")?;
    Ok((row, created))
}

/// Replaces a value that has one of the versions.
async fn update(
    db: &Database,
    session: Session,
    new: &NewEntry,
    versions: &VersionMatch,
    quota: Quota,
    now: SystemTime,
) -> Result<(Row, bool), Error> {
    // `target` is the row at the start of the statement. `written` checks the version again after waiting for the row lock.
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
    let NewEntry { key, value, expires_at } = new;
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
        .ok_or(db::Error::SessionEnded)?;
    if column::<Option<i64>>(&row, TABLE, "version")?.is_none() {
        return Err(why_unchanged(&row, versions)?);
    }
    Ok((row, false))
}

/// Deletes a value that has one of the versions.
///
/// # Errors
/// `SessionEnded`, `NotFound`, `VersionMismatch`, or the database is unavailable.
pub async fn delete(
    db: &Database,
    session: Session,
    key: &Key,
    versions: &VersionMatch,
    now: SystemTime,
) -> Result<(), Error> {
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
        .ok_or(db::Error::SessionEnded)?;
    if column(&row, TABLE, "deleted")? { Ok(()) } else { Err(why_unchanged(&row, versions)?) }
}

/// Returns the reason why a statement changed nothing: the key does not exist, or its version differs. A value that was deleted
/// while the statement waited counts as a different version, if the request named versions.
fn why_unchanged(row: &Row, versions: &VersionMatch) -> Result<Error, db::Error> {
    let found = column(row, TABLE, "found")? && *versions != VersionMatch::Any;
    Ok(if found { Error::VersionMismatch } else { Error::NotFound })
}
