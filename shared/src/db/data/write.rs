//! Writes and deletions of single values.

use std::time::SystemTime;

use tokio_postgres::types::Type;

use super::purge::Reclaim;
use super::{Error, TABLE, version_numbers};
use crate::db::{self, Database, Effect, column};
use crate::domain::{Condition, Entry, Key, Quota, Session, Value, VersionMatch};

/// A value to write.
pub struct NewEntry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Value,
    /// Time at which it expires. Without it the value does not expire, even if it replaces one that did.
    pub expires_at: Option<SystemTime>,
}

/// The result of a write.
pub struct Written {
    /// The stored entry.
    pub entry: Entry,
    /// Whether the write created the key.
    pub created: bool,
}

/// Writes a value if the condition holds. If the quota does not allow it, purges expired values of the user and
/// retries.
///
/// # Errors
/// The error that `condition` names, `QuotaExceeded`, the session has ended, or the database is unavailable.
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
        let outcome = match condition {
            Condition::Absent => insert(db, session, &new, Replace::Never, quota, now).await,
            Condition::None => insert(db, session, &new, Replace::Always, quota, now).await,
            Condition::Present(versions) => update(db, session, &new, versions, quota, now).await,
        };
        match outcome {
            Err(Error::QuotaExceeded) if reclaim.run(db, now).await? => {}
            outcome => {
                let Stored { version, created_at } = outcome?;
                let NewEntry { key, value, expires_at } = new;
                let entry = Entry {
                    key,
                    value: Some(value),
                    version: version.into(),
                    created_at: created_at.unwrap_or(now),
                    updated_at: now,
                    expires_at,
                };
                return Ok(Written { entry, created: created_at.is_none() });
            }
        }
    }
}

/// The result of a statement that stored a value.
struct Stored {
    version: i64,
    /// Time at which the key was created, if it existed.
    created_at: Option<SystemTime>,
}

/// Whether an insert replaces a value that has not expired. It always replaces an expired one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replace {
    Never,
    Always,
}

/// Inserts or replaces a value.
async fn insert(
    db: &Database,
    session: Session,
    new: &NewEntry,
    replace: Replace,
    quota: Quota,
    now: SystemTime,
) -> Result<Stored, Error> {
    // `old` waits for a concurrent write of the key and then has its result. `octet_length` of a stored text does not read or
    // decompress it.
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), old as (
            select d.user_id, octet_length(d.key) + octet_length(d.value) as bytes, d.created_at,
                d.expires_at is null or d.expires_at > $3 as is_live, d.version
            from session join data_store d on d.user_id = session.user_id and d.key = $4
            for update of d
        ), counter as (
            update user_counters c set
                version = c.version + 1,
                keys = c.keys + case when old.user_id is null then 1 else 0 end,
                bytes = c.bytes + octet_length($4) + octet_length($5) - coalesce(old.bytes, 0),
                keys_allowed = greatest($8, c.keys),
                bytes_allowed = greatest($9, c.bytes)
            from session left join old on old.user_id = session.user_id
            where c.user_id = session.user_id and ($7 or old.is_live is not true)
            returning c.user_id, c.version
        ), replaced as (
            update data_store d set
                value = $5,
                version = counter.version,
                first_version = case when old.is_live then d.first_version else counter.version end,
                created_at = case when old.is_live then d.created_at else $3 end,
                updated_at = $3,
                expires_at = $6
            from counter join old on old.user_id = counter.user_id
            where d.user_id = counter.user_id and d.key = $4
        ), inserted as (
            insert into data_store (user_id, key, value, version, first_version, created_at, updated_at, expires_at)
            select counter.user_id, $4, $5, counter.version, counter.version, $3, $3, $6
            from counter left join old on old.user_id = counter.user_id
            where old.user_id is null
        )
        select counter.version, case when old.is_live then old.created_at end as created_at, old.version as old_version
        from session
        left join old on old.user_id = session.user_id
        left join counter on counter.user_id = session.user_id";
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
    let created_at: Option<SystemTime> = column(&row, TABLE, "created_at")?;
    match column(&row, "user_counters", "version")? {
        Some(version) => Ok(Stored { version, created_at }),
        None if created_at.is_some() && replace == Replace::Never => {
            Err(Error::Exists(column::<i64>(&row, TABLE, "old_version")?.into()))
        }
        // The account was deleted while the statement waited.
        None => Err(db::Error::SessionEnded.into()),
    }
}

/// Replaces a value that has one of the versions.
async fn update(
    db: &Database,
    session: Session,
    new: &NewEntry,
    versions: &VersionMatch,
    quota: Quota,
    now: SystemTime,
) -> Result<Stored, Error> {
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), old as (
            select d.user_id, octet_length(d.key) + octet_length(d.value) as bytes, d.created_at,
                $7::bigint[] is null or d.version = any($7) as matches, d.version
            from session join data_store d on d.user_id = session.user_id and d.key = $4
            where d.expires_at is null or d.expires_at > $3
            for update of d
        ), counter as (
            update user_counters c set
                version = c.version + 1,
                bytes = c.bytes + octet_length($4) + octet_length($5) - old.bytes,
                keys_allowed = greatest($8, c.keys),
                bytes_allowed = greatest($9, c.bytes)
            from old where c.user_id = old.user_id and old.matches
            returning c.user_id, c.version
        ), replaced as (
            update data_store d set value = $5, version = counter.version, updated_at = $3, expires_at = $6
            from counter where d.user_id = counter.user_id and d.key = $4
        )
        select counter.version, old.created_at, old.matches, old.version as old_version
        from session
        left join old on old.user_id = session.user_id
        left join counter on counter.user_id = session.user_id";
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
                (&version_numbers(versions), Type::INT8_ARRAY),
                (&quota.keys, Type::INT8),
                (&quota.bytes, Type::INT8),
            ],
        )
        .await?
        .ok_or(db::Error::SessionEnded)?;
    match (column(&row, "user_counters", "version")?, column(&row, TABLE, "matches")?) {
        (Some(version), _) => Ok(Stored { version, created_at: column(&row, TABLE, "created_at")? }),
        (None, None) => Err(Error::NotFound),
        (None, Some(false)) => Err(Error::VersionMismatch(Some(column::<i64>(&row, TABLE, "old_version")?.into()))),
        // The account was deleted while the statement waited.
        (None, Some(true)) => Err(db::Error::SessionEnded.into()),
    }
}

/// Deletes a value that has one of the versions `required` and none of `excluded`.
///
/// # Errors
/// `NotFound`, `VersionMismatch`, the session has ended, or the database is unavailable.
pub async fn delete(
    db: &Database,
    session: Session,
    key: &Key,
    [required, excluded]: [&VersionMatch; 2],
    now: SystemTime,
) -> Result<(), Error> {
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), target as (
            select d.user_id, d.version from session join data_store d
                on d.user_id = session.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)
        ), deleted as (
            delete from data_store as d using session
            where d.user_id = session.user_id and d.key = $4 and (d.expires_at is null or d.expires_at > $3)
                and ($5::bigint[] is null or d.version = any($5))
                and $6::bigint[] is not null and d.version <> all($6)
            returning d.user_id, octet_length(d.key) + octet_length(d.value) as bytes
        ), counted as (
            update user_counters c set keys = c.keys - 1, bytes = c.bytes - deleted.bytes
            from deleted where c.user_id = deleted.user_id
        )
        select deleted.user_id is not null as deleted, t.version
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
                (&version_numbers(required), Type::INT8_ARRAY),
                (&version_numbers(excluded), Type::INT8_ARRAY),
            ],
        )
        .await?
        .ok_or(db::Error::SessionEnded)?;
    if column(&row, TABLE, "deleted")? {
        return Ok(());
    }
    // A value that was deleted while the statement waited counts as one of another version if the request names versions.
    let is_conditional = *required != VersionMatch::Any || *excluded != VersionMatch::NONE;
    let version = column::<Option<i64>>(&row, TABLE, "version")?.filter(|_| is_conditional);
    Err(version.map_or(Error::NotFound, |version| Error::VersionMismatch(Some(version.into()))))
}
