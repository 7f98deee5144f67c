//! Batches: several operations in one transaction of two round trips.
//!
//! The first round trip locks the user's row of `data_clock`, reserves a version for each operation, and reads and
//! locks the stored values. Rust code then checks each operation, so that an error can name all operations that fail
//! and the reasons. The second round trip writes the changes and commits.

use std::collections::HashMap;
use std::time::SystemTime;

use futures_util::future::{try_join, try_join3};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::purge::Reclaim;
use super::{Error, PAGE_BYTES, TABLE, parse_value};
use crate::db::statement::{Connection, Statement, Work};
use crate::db::{self, Database, Effect, Parameters, column};
use crate::domain::{Action, Entry, Key, Operation, Quota, Session};

/// The result of one operation.
pub enum BatchResult {
    /// The entry that was read, or the one that was written, without its value.
    Entry(Entry),
    /// The key whose value was deleted.
    Deleted(Key),
}

/// Why a batch was not executed.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Operations failed, each with its index in the batch and the reason.
    #[error("operations of the batch failed")]
    Operations(Vec<(usize, Error)>),
    /// The values to read have more than [`PAGE_BYTES`] bytes.
    #[error("the response would be too large")]
    ResponseTooLarge,
    /// The batch as a whole failed.
    #[error(transparent)]
    Data(#[from] Error),
}

/// Executes all operations or none. The results are in the order of the operations.
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
    let is_write = operations.iter().any(|operation| !matches!(operation.action, Action::Get));
    let transaction = Transaction { session, operations, is_write, quota, now };
    let effect = if is_write { Effect::Write } else { Effect::Read };
    let mut reclaim = Reclaim::new(session.user);
    loop {
        match db.run(effect, &transaction).await.map_err(Error::from) {
            Err(Error::QuotaExceeded) if reclaim.run(db, now).await.map_err(Error::from)? => {}
            outcome => return outcome?,
        }
    }
}

/// The transaction of a batch.
struct Transaction<'a> {
    session: Session,
    operations: &'a [Operation],
    /// Whether at least one operation writes.
    is_write: bool,
    quota: Quota,
    now: SystemTime,
}

/// The row of a key. It may have expired.
struct Stored {
    /// Without its value if no operation reads it, or if it does not fit into the response.
    entry: Entry,
    first_version: i64,
    /// Bytes of key and value.
    bytes: i64,
    is_live: bool,
}

/// The changes of a batch, as one array for each column.
#[derive(Default)]
struct Changes<'a> {
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

    async fn run(&self, connection: &Connection<'_>) -> Result<Self::Output, tokio_postgres::Error> {
        // The statements of a round trip are sent in this order, without waiting for responses.
        if !self.is_write {
            let (session, rows) = try_join(self.check_session(connection), self.stored_rows(connection)).await?;
            return Ok(self.plan(&session, &rows).map(|(results, _)| results));
        }
        let first_round_trip =
            try_join3(connection.command("begin"), self.reserve_versions(connection), self.stored_rows(connection))
                .await;
        let outcome = match first_round_trip {
            Ok(((), versions, rows)) => match self.plan(&versions, &rows) {
                Ok((results, changes)) => self.commit(connection, &changes).await.map(|()| Ok(results)),
                Err(error) => Ok(Err(error)),
            },
            Err(error) => Err(error),
        };
        if !matches!(outcome, Ok(Ok(_))) && !connection.is_closed() {
            connection.command("rollback").await?;
        }
        outcome
    }
}

impl Transaction<'_> {
    /// Checks the session, locks out other writers of the user, and reserves a version for each operation. Returns a
    /// row with the last version, or no row if the session has ended.
    async fn reserve_versions(&self, connection: &Connection<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
        const SQL: &str = "
            with session as (
                select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
            )
            insert into data_clock as c (user_id, version)
            select user_id, $4 from session
            on conflict (user_id) do update set version = c.version + $4
            returning version";
        self.query_session(connection, SQL).await
    }

    /// Checks the session for a batch that only reads. Returns a row like [`Self::reserve_versions`], whose version is
    /// not used.
    async fn check_session(&self, connection: &Connection<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
        const SQL: &str = "select $4 as version from sessions where user_id = $1 and id = $2 and expires_at > $3";
        self.query_session(connection, SQL).await
    }

    async fn query_session(&self, connection: &Connection<'_>, sql: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
        let parameters: &Parameters<'_> = &[
            (&self.session.user.uuid(), Type::UUID),
            (&self.session.id.uuid(), Type::UUID),
            (&self.now, Type::TIMESTAMPTZ),
            (&(self.operations.len() as i64), Type::INT8),
        ];
        Statement { sql, parameters }.run(connection).await
    }

    /// Reads the rows of the keys, and locks them if the batch writes. Values are left out unless an operation reads
    /// them and they fit into the response.
    async fn stored_rows(&self, connection: &Connection<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
        let sql = format!(
            "
            with stored as (
                select key, value, version, first_version, created_at, updated_at, expires_at,
                    octet_length(value) as value_bytes, key = any($3) as is_read
                from data_store where user_id = $1 and key = any($2)
                order by key {lock}
            ), measured as (
                select *, sum(case when is_read then value_bytes else 0 end) over (order by key) as bytes_so_far from stored
            )
            select key, case when is_read and bytes_so_far <= $4 then value end as value, version, first_version,
                created_at, updated_at, expires_at, octet_length(key) + value_bytes as bytes
            from measured",
            lock = if self.is_write { "for update" } else { "" },
        );
        let gets = self.operations.iter().filter(|operation| matches!(operation.action, Action::Get));
        let parameters: &Parameters<'_> = &[
            (&self.session.user.uuid(), Type::UUID),
            (&keys(self.operations.iter()), Type::TEXT_ARRAY),
            (&keys(gets), Type::TEXT_ARRAY),
            (&(PAGE_BYTES as i64), Type::INT8),
        ];
        Statement { sql: &sql, parameters }.run(connection).await
    }

    /// Checks each operation against the stored values and collects the results and the changes.
    fn plan(&self, versions: &[Row], rows: &[Row]) -> Result<(Vec<BatchResult>, Changes<'_>), BatchError> {
        let last_version: i64 = match versions.first() {
            Some(row) => column(row, TABLE, "version").map_err(Error::from)?,
            None => return Err(Error::from(db::Error::SessionEnded).into()),
        };
        let mut version = last_version - self.operations.len() as i64;
        let mut stored_by_key = HashMap::with_capacity(rows.len());
        for row in rows {
            let stored = Stored::read(row, self.now).map_err(Error::from)?;
            stored_by_key.insert(stored.entry.key.as_str().to_owned(), stored);
        }
        let (mut results, mut changes, mut failed) = (Vec::new(), Changes::default(), Vec::new());
        for (index, operation) in self.operations.iter().enumerate() {
            version += 1;
            let stored = stored_by_key.get(operation.key.as_str());
            match check(operation, stored.filter(|stored| stored.is_live)) {
                Ok(()) => results.push(changes.add(operation, stored, version, self.now)?),
                Err(error) => failed.push((index, error)),
            }
        }
        if failed.is_empty() { Ok((results, changes)) } else { Err(BatchError::Operations(failed)) }
    }

    /// Writes the changes and commits.
    async fn commit(&self, connection: &Connection<'_>, changes: &Changes<'_>) -> Result<(), tokio_postgres::Error> {
        const SQL: &str = "
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
            (&changes.keys, Type::TEXT_ARRAY),
            (&changes.values, Type::TEXT_ARRAY),
            (&changes.versions, Type::INT8_ARRAY),
            (&changes.first_versions, Type::INT8_ARRAY),
            (&changes.created_at, Type::TIMESTAMPTZ_ARRAY),
            (&changes.expires_at, Type::TIMESTAMPTZ_ARRAY),
            (&changes.deleted, Type::TEXT_ARRAY),
            (&changes.added_keys, Type::INT8),
            (&changes.added_bytes, Type::INT8),
            (&self.quota.keys, Type::INT8),
            (&self.quota.bytes, Type::INT8),
        ];
        // If the statement fails, `commit` rolls back.
        try_join(Statement { sql: SQL, parameters }.run(connection), connection.command("commit")).await?;
        Ok(())
    }
}

fn keys<'a>(operations: impl Iterator<Item = &'a Operation>) -> Vec<&'a str> {
    operations.map(|operation| operation.key.as_str()).collect()
}

/// Checks whether an operation may be executed. `stored` is the value under its key, unless that has expired.
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

impl<'a> Changes<'a> {
    /// Adds the change of an operation that [`check`] accepted, and returns its result. `stored` may have expired;
    /// `version` is the one to write.
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
                let live = stored.filter(|stored| stored.is_live);
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
            entry: super::entry(row, key, text.map(parse_value).transpose()?, column(row, TABLE, "version")?)?,
            first_version: column(row, TABLE, "first_version")?,
            bytes: i64::from(column::<i32>(row, TABLE, "bytes")?),
            is_live: expires_at.is_none_or(|expires_at| expires_at > now),
        })
    }
}
