//! Batches: several operations in one transaction of two round trips.
//!
//! The first round trip locks the user's row of `data_clock`, reserves the versions, and reads and locks the rows that the
//! operations name. The program, not SQL, then checks each operation, so that the error names all failed operations. The second
//! round trip writes everything and commits.

use std::collections::HashMap;
use std::time::SystemTime;

use futures_util::future::{try_join, try_join3};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::purge::Reclaim;
use super::{Error, PAGE_BYTES, TABLE, value};
use crate::db::pool::{Statement, Work};
use crate::db::{self, Database, Effect, Parameters, column};
use crate::domain::{Action, Entry, Key, Operation, Quota, Session};

/// The result of an operation.
pub enum BatchResult {
    /// The entry that was read, or the entry that was written, without its value.
    Entry(Entry),
    /// The key that was deleted.
    Deleted(Key),
}

/// The reason why a batch failed. A failed batch changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Operations failed: their positions in the batch and their errors.
    #[error("operations of the batch failed")]
    Operations(Vec<(usize, Error)>),
    /// The requested values exceed [`PAGE_BYTES`].
    #[error("the response would be too large")]
    ResponseTooLarge,
    /// The batch as a whole failed.
    #[error(transparent)]
    Batch(#[from] Error),
}

/// Performs all operations or none. The results are in the order of the operations.
///
/// # Errors
/// [`BatchError`].
pub async fn batch(
    db: &Database,
    session: Session,
    operations: &[Operation],
    quota: Quota,
    now: SystemTime,
) -> Result<Vec<BatchResult>, BatchError> {
    let writes = operations.iter().any(|operation| !matches!(operation.action, Action::Get));
    let transaction = Transaction { session, operations, writes, quota, now };
    let effect = if writes { Effect::Write } else { Effect::Read };
    let mut reclaim = Reclaim::new(session.user);
    loop {
        match db.run(effect, &transaction).await.map_err(Error::from) {
            Err(Error::QuotaExceeded) if reclaim.run(db, now).await.map_err(Error::from)? => {}
            done => return done?,
        }
    }
}

struct Transaction<'a> {
    session: Session,
    operations: &'a [Operation],
    /// Whether an operation writes.
    writes: bool,
    quota: Quota,
    now: SystemTime,
}

/// A stored row, which may have expired.
struct Stored {
    entry: Entry,
    first_version: i64,
    /// Bytes of key and value.
    bytes: i64,
    live: bool,
}

/// The rows to write, column by column, and the change of the quota.
#[derive(Default)]
struct Writes<'a> {
    keys: Vec<&'a str>,
    values: Vec<&'a str>,
    versions: Vec<i64>,
    first_versions: Vec<i64>,
    created_at: Vec<SystemTime>,
    expires_at: Vec<Option<SystemTime>>,
    deleted: Vec<&'a str>,
    added_keys: i64,
    added_bytes: i64,
}

impl Work for Transaction<'_> {
    type Output = Result<Vec<BatchResult>, BatchError>;

    const NAME: Option<&'static str> = Some("batch");

    async fn run(&self, client: &Client) -> Result<Self::Output, tokio_postgres::Error> {
        if !self.writes {
            let (session, rows) = try_join(self.clock(client), self.rows(client)).await?;
            return Ok(self.decide(&session, &rows).map(|(results, _)| results));
        }
        // Sent in this order without waiting for responses.
        let begun = try_join3(client.batch_execute("begin"), self.clock(client), self.rows(client)).await;
        let done = match begun {
            Ok(((), clock, rows)) => match self.decide(&clock, &rows) {
                Ok((results, writes)) => self.commit(client, &writes).await.map(|()| Ok(results)),
                Err(error) => Ok(Err(error)),
            },
            Err(error) => Err(error),
        };
        if !matches!(done, Ok(Ok(_))) && !client.is_closed() {
            client.batch_execute("rollback").await?;
        }
        done
    }
}

impl Transaction<'_> {
    /// Checks the session. If the batch writes, also locks the user's row and reserves a version for each operation; the row has
    /// the last one.
    async fn clock(&self, client: &Client) -> Result<Vec<Row>, tokio_postgres::Error> {
        const LOCK: &str = "
            with session as (
                select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
            )
            insert into data_clock as c (user_id, version)
            select user_id, $4 from session
            on conflict (user_id) do update set version = c.version + $4
            returning version";
        const LOOK: &str = "select $4 as version from sessions where user_id = $1 and id = $2 and expires_at > $3";
        let parameters: &Parameters<'_> = &[
            (&self.session.user.uuid(), Type::UUID),
            (&self.session.id.uuid(), Type::UUID),
            (&self.now, Type::TIMESTAMPTZ),
            (&(self.operations.len() as i64), Type::INT8),
        ];
        Statement { sql: if self.writes { LOCK } else { LOOK }, parameters }.run(client).await
    }

    /// Reads what is stored under the keys, and keeps it from changing if anything is to be written.
    async fn rows(&self, client: &Client) -> Result<Vec<Row>, tokio_postgres::Error> {
        let sql = format!(
            "
            with named as (
                select key, value, version, first_version, created_at, updated_at, expires_at,
                    octet_length(value) as value_bytes, key = any($3) as wanted
                from data_store where user_id = $1 and key = any($2)
                order by key {lock}
            ), measured as (
                select *, sum(case when wanted then value_bytes else 0 end) over (order by key) as bytes_so_far from named
            )
            select key, case when wanted and bytes_so_far <= $4 then value end as value, version, first_version,
                created_at, updated_at, expires_at, octet_length(key) + value_bytes as bytes
            from measured",
            lock = if self.writes { "for update" } else { "" },
        );
        let gets = self.operations.iter().filter(|operation| matches!(operation.action, Action::Get));
        let parameters: &Parameters<'_> = &[
            (&self.session.user.uuid(), Type::UUID),
            (&keys(self.operations.iter()), Type::TEXT_ARRAY),
            (&keys(gets), Type::TEXT_ARRAY),
            (&(PAGE_BYTES as i64), Type::INT8),
        ];
        Statement { sql: &sql, parameters }.run(client).await
    }

    fn decide(&self, clock: &[Row], rows: &[Row]) -> Result<(Vec<BatchResult>, Writes<'_>), BatchError> {
        let last_version: i64 = match clock.first() {
            Some(row) => column(row, TABLE, "version").map_err(Error::from)?,
            None => return Err(Error::from(db::Error::SessionEnded).into()),
        };
        let mut version = last_version - self.operations.len() as i64;
        let mut stored = HashMap::with_capacity(rows.len());
        for row in rows {
            let found = Stored::read(row, self.now).map_err(Error::from)?;
            stored.insert(found.entry.key.as_str().to_owned(), found);
        }
        let (mut results, mut writes, mut failed) = (Vec::new(), Writes::default(), Vec::new());
        for (index, operation) in self.operations.iter().enumerate() {
            version += 1;
            let found = stored.get(operation.key.as_str());
            match check(operation, found.filter(|stored| stored.live)) {
                Ok(()) => results.push(writes.add(operation, found, version, self.now)?),
                Err(error) => failed.push((index, error)),
            }
        }
        if failed.is_empty() { Ok((results, writes)) } else { Err(BatchError::Operations(failed)) }
    }

    async fn commit(&self, client: &Client, writes: &Writes<'_>) -> Result<(), tokio_postgres::Error> {
        const WRITE: &str = "
            with written as (
                insert into data_store as d
                    (user_id, key, value, version, first_version, created_at, updated_at, expires_at)
                select $1, key, value, version, first_version, created_at, $2, expires_at
                from unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::timestamptz[])
                    as w (key, value, version, first_version, created_at, expires_at)
                on conflict (user_id, key) do update set
                    value = excluded.value, version = excluded.version, first_version = excluded.first_version,
                    created_at = excluded.created_at, updated_at = excluded.updated_at, expires_at = excluded.expires_at
            ), deleted as (
                delete from data_store where user_id = $1 and key = any($9)
            )
            insert into data_usage as u (user_id, keys, bytes, keys_allowed, bytes_allowed)
            values ($1, $10, $11, $12, $13)
            on conflict (user_id) do update set
                keys = u.keys + excluded.keys,
                bytes = u.bytes + excluded.bytes,
                keys_allowed = greatest(excluded.keys_allowed, u.keys),
                bytes_allowed = greatest(excluded.bytes_allowed, u.bytes)";
        let parameters: &Parameters<'_> = &[
            (&self.session.user.uuid(), Type::UUID),
            (&self.now, Type::TIMESTAMPTZ),
            (&writes.keys, Type::TEXT_ARRAY),
            (&writes.values, Type::TEXT_ARRAY),
            (&writes.versions, Type::INT8_ARRAY),
            (&writes.first_versions, Type::INT8_ARRAY),
            (&writes.created_at, Type::TIMESTAMPTZ_ARRAY),
            (&writes.expires_at, Type::TIMESTAMPTZ_ARRAY),
            (&writes.deleted, Type::TEXT_ARRAY),
            (&writes.added_keys, Type::INT8),
            (&writes.added_bytes, Type::INT8),
            (&self.quota.keys, Type::INT8),
            (&self.quota.bytes, Type::INT8),
        ];
        // After a failed statement, `commit` rolls back.
        try_join(Statement { sql: WRITE, parameters }.run(client), client.batch_execute("commit")).await?;
        Ok(())
    }
}

fn keys<'a>(operations: impl Iterator<Item = &'a Operation>) -> Vec<&'a str> {
    operations.map(|operation| operation.key.as_str()).collect()
}

/// Checks whether an operation is possible on the stored row.
fn check(operation: &Operation, stored: Option<&Stored>) -> Result<(), Error> {
    match (&operation.action, stored) {
        (Action::Create(_), Some(_)) => Err(Error::Exists),
        (Action::Create(_) | Action::Upsert(_), None) => match operation.if_version {
            Some(_) => Err(Error::VersionMismatch),
            None => Ok(()),
        },
        (_, None) => Err(Error::NotFound),
        (_, Some(stored)) => match operation.if_version {
            Some(version) if version != stored.entry.version => Err(Error::VersionMismatch),
            _ => Ok(()),
        },
    }
}

impl<'a> Writes<'a> {
    /// Adds what an operation writes, under its own version. Returns its result.
    fn add(
        &mut self,
        operation: &'a Operation,
        stored: Option<&Stored>,
        version: i64,
        now: SystemTime,
    ) -> Result<BatchResult, BatchError> {
        let key = operation.key.as_str();
        let stored_bytes = stored.map_or(0, |stored| stored.bytes);
        match (&operation.action, stored) {
            (Action::Get, stored) => match stored {
                Some(Stored { entry, .. }) if entry.value.is_some() => Ok(BatchResult::Entry(entry.clone())),
                _ => Err(BatchError::ResponseTooLarge),
            },
            (Action::Delete, _) => {
                self.deleted.push(key);
                self.added_keys -= 1;
                self.added_bytes -= stored_bytes;
                Ok(BatchResult::Deleted(operation.key.clone()))
            }
            (Action::Create(content) | Action::Put(content) | Action::Upsert(content), stored) => {
                let live = stored.filter(|stored| stored.live);
                let created_at = live.map_or(now, |stored| stored.entry.created_at);
                self.keys.push(key);
                self.values.push(content.value.as_str());
                self.versions.push(version);
                self.first_versions.push(live.map_or(version, |stored| stored.first_version));
                self.created_at.push(created_at);
                self.expires_at.push(content.expires_at);
                self.added_keys += i64::from(stored.is_none());
                self.added_bytes += (key.len() + content.value.as_str().len()) as i64 - stored_bytes;
                Ok(BatchResult::Entry(Entry {
                    key: operation.key.clone(),
                    value: None,
                    version: version.into(),
                    created_at,
                    updated_at: now,
                    expires_at: content.expires_at,
                }))
            }
        }
    }
}

impl Stored {
    fn read(row: &Row, now: SystemTime) -> Result<Self, db::Error> {
        let text: Option<String> = column(row, TABLE, "value")?;
        let expires_at: Option<SystemTime> = column(row, TABLE, "expires_at")?;
        let key = Key::from_stored(column(row, TABLE, "key")?);
        Ok(Self {
            entry: super::entry(row, key, text.map(value).transpose()?, column(row, TABLE, "version")?)?,
            first_version: column(row, TABLE, "first_version")?,
            bytes: i64::from(column::<i32>(row, TABLE, "bytes")?),
            live: expires_at.is_none_or(|expires_at| expires_at > now),
        })
    }
}
