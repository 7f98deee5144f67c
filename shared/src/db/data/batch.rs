//! Batches: several operations in one transaction of two round trips.
//!
//! The first round trip checks the session, and reads and locks the stored values. Rust code then checks each operation, so
//! that an error can name all operations that fail and the reasons. The second round trip writes the changes, assigns a
//! version to each operation, and commits.

use std::collections::HashMap;
use std::time::SystemTime;

use futures_util::future::try_join;
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
    /// Bytes of key and value.
    bytes: i64,
    is_live: bool,
}

/// The changes of a batch, one array for each column. Writes and deletions share the arrays: with arrays of their own, which
/// are often empty, PostgreSQL would take a plan for empty arrays to be cheaper than a generic one, and plan each execution.
#[derive(Default)]
struct Changes<'a> {
    keys: Vec<&'a str>,
    /// The values to write. None deletes the key.
    values: Vec<Option<&'a str>>,
    /// The numbers of the operations in the batch, from 1 on.
    numbers: Vec<i64>,
    expires_at: Vec<Option<SystemTime>>,
    /// Whether the key has to be inserted.
    is_new: Vec<bool>,
    /// Whether there is a row that has not expired.
    is_live: Vec<bool>,
    added_keys: i64,
    added_bytes: i64,
}

/// Makes the statement of [`Transaction::stored_rows`].
macro_rules! stored_rows {
    ($lock:literal) => {
        concat!(
            "
            with session as (
                select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
            ), stored as (
                select d.key, d.value, d.version, d.created_at, d.updated_at, d.expires_at,
                    octet_length(d.value) as value_bytes, d.key = any($5) as is_read
                from session join data_store d on d.user_id = session.user_id and d.key = any($4)
                order by d.key ",
            $lock,
            "
            ), measured as (
                select *, sum(case when is_read then value_bytes else 0 end) over (order by key) as bytes_so_far from stored
            )
            select m.key, case when m.is_read and m.bytes_so_far <= $6 then m.value end as value, m.version, m.created_at,
                m.updated_at, m.expires_at, octet_length(m.key) + m.value_bytes as bytes
            from session left join measured m on true"
        )
    };
}

impl Work for Transaction<'_> {
    type Output = Result<Vec<BatchResult>, BatchError>;

    const NAME: Option<&'static str> = Some("batch");

    async fn run(&self, connection: &Connection<'_>) -> Result<Self::Output, tokio_postgres::Error> {
        if !self.is_write {
            let rows = self.stored_rows(connection).await?;
            return Ok(self.plan(&rows).map(|(results, _)| results));
        }
        // The statements of a round trip are sent in this order, without waiting for responses.
        let outcome = match try_join(connection.command("begin"), self.stored_rows(connection)).await {
            Ok(((), rows)) => match self.plan(&rows) {
                Ok((results, changes)) => self.commit(connection, results, &changes).await,
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
    /// Checks the session, reads the rows of the keys, and locks them if the batch writes. Returns no row if the session has
    /// ended, and one without a key if the keys have none. Values are left out unless an operation reads them and they
    /// fit into the response.
    async fn stored_rows(&self, connection: &Connection<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
        const READ: &str = stored_rows!("");
        const WRITE: &str = stored_rows!("for update of d");
        let gets = self.operations.iter().filter(|operation| matches!(operation.action, Action::Get));
        let parameters: &Parameters<'_> = &[
            (&self.session.user.uuid(), Type::UUID),
            (&self.session.id.uuid(), Type::UUID),
            (&self.now, Type::TIMESTAMPTZ),
            (&keys(self.operations.iter()), Type::TEXT_ARRAY),
            (&keys(gets), Type::TEXT_ARRAY),
            (&(PAGE_BYTES as i64), Type::INT8),
        ];
        Statement { sql: if self.is_write { WRITE } else { READ }, parameters }.run(connection).await
    }

    /// Checks each operation against the stored values and collects the results and the changes.
    fn plan(&self, rows: &[Row]) -> Result<(Vec<BatchResult>, Changes<'_>), BatchError> {
        if rows.is_empty() {
            return Err(Error::from(db::Error::SessionEnded).into());
        }
        let mut stored_by_key = HashMap::with_capacity(rows.len());
        for row in rows {
            if let Some(stored) = Stored::read(row, self.now).map_err(Error::from)? {
                stored_by_key.insert(stored.entry.key.as_str().to_owned(), stored);
            }
        }
        let (mut results, mut changes, mut failed) = (Vec::new(), Changes::default(), Vec::new());
        for (index, operation) in self.operations.iter().enumerate() {
            let stored = stored_by_key.get(operation.key.as_str());
            match check(operation, stored.filter(|stored| stored.is_live)) {
                Ok(()) => results.push(changes.add(operation, stored, index as i64 + 1, self.now)?),
                Err(error) => failed.push((index, error)),
            }
        }
        if failed.is_empty() { Ok((results, changes)) } else { Err(BatchError::Operations(failed)) }
    }

    /// Writes the changes, commits, and adds the versions to the results.
    async fn commit(
        &self,
        connection: &Connection<'_>,
        mut results: Vec<BatchResult>,
        changes: &Changes<'_>,
    ) -> Result<Result<Vec<BatchResult>, BatchError>, tokio_postgres::Error> {
        // `d.key = any($7)` keeps a plan from reading all rows of a user who has more than the others.
        const SQL: &str = "
            with counter as (
                update user_counters c set
                    version = c.version + $2,
                    keys = c.keys + $3,
                    bytes = c.bytes + $4,
                    keys_allowed = greatest($5, c.keys),
                    bytes_allowed = greatest($6, c.bytes)
                where c.user_id = $1
                returning c.version - $2 as version
            ), changed as (
                select key, value, counter.version + number as version, expires_at, is_new, is_live
                from counter,
                    unnest($7::text[], $8::text[], $9::bigint[], $10::timestamptz[], $11::boolean[], $12::boolean[])
                        as c (key, value, number, expires_at, is_new, is_live)
            ), replaced as (
                update data_store d set
                    value = c.value,
                    version = c.version,
                    first_version = case when c.is_live then d.first_version else c.version end,
                    created_at = case when c.is_live then d.created_at else $13 end,
                    updated_at = $13,
                    expires_at = c.expires_at
                from changed c
                where d.user_id = $1 and d.key = any($7) and d.key = c.key and c.value is not null and not c.is_new
            ), inserted as (
                insert into data_store (user_id, key, value, version, first_version, created_at, updated_at, expires_at)
                select $1, key, value, version, version, $13, $13, expires_at from changed where is_new
            ), deleted as (
                delete from data_store d using changed c
                where d.user_id = $1 and d.key = any($7) and d.key = c.key and c.value is null
            )
            select version from counter";
        let parameters: &Parameters<'_> = &[
            (&self.session.user.uuid(), Type::UUID),
            (&(self.operations.len() as i64), Type::INT8),
            (&changes.added_keys, Type::INT8),
            (&changes.added_bytes, Type::INT8),
            (&self.quota.keys, Type::INT8),
            (&self.quota.bytes, Type::INT8),
            (&changes.keys, Type::TEXT_ARRAY),
            (&changes.values, Type::TEXT_ARRAY),
            (&changes.numbers, Type::INT8_ARRAY),
            (&changes.expires_at, Type::TIMESTAMPTZ_ARRAY),
            (&changes.is_new, Type::BOOL_ARRAY),
            (&changes.is_live, Type::BOOL_ARRAY),
            (&self.now, Type::TIMESTAMPTZ),
        ];
        // If the statement fails, `commit` rolls back.
        let write = Statement { sql: SQL, parameters };
        let (rows, ()) = try_join(write.run(connection), connection.command("commit")).await?;
        // Without counters, the account was deleted while the statement waited.
        let Some(row) = rows.first() else { return Ok(Err(Error::from(db::Error::SessionEnded).into())) };
        let last: i64 = match column(row, "user_counters", "version") {
            Ok(version) => version,
            Err(error) => return Ok(Err(Error::from(error).into())),
        };
        for (index, (operation, result)) in self.operations.iter().zip(&mut results).enumerate() {
            if let (false, BatchResult::Entry(entry)) = (matches!(operation.action, Action::Get), result) {
                entry.version = (last + index as i64 + 1).into();
            }
        }
        Ok(Ok(results))
    }
}

fn keys<'a>(operations: impl Iterator<Item = &'a Operation>) -> Vec<&'a str> {
    operations.map(|operation| operation.key.as_str()).collect()
}

/// Checks whether an operation may be executed. `stored` is the value under its key, unless that has expired.
fn check(operation: &Operation, stored: Option<&Stored>) -> Result<(), Error> {
    match (&operation.action, stored) {
        (Action::Create(_), Some(stored)) => Err(Error::Exists(stored.entry.version)),
        (Action::Create(_) | Action::Upsert(_), None) => match operation.if_version {
            Some(_) => Err(Error::VersionMismatch(None)),
            None => Ok(()),
        },
        (_, None) => Err(Error::NotFound),
        (_, Some(stored)) => match operation.if_version {
            Some(version) if version != stored.entry.version => Err(Error::VersionMismatch(Some(stored.entry.version))),
            _ => Ok(()),
        },
    }
}

impl<'a> Changes<'a> {
    fn push(
        &mut self,
        operation: &'a Operation,
        value: Option<&'a str>,
        number: i64,
        expires_at: Option<SystemTime>,
        stored: Option<&Stored>,
    ) {
        self.keys.push(operation.key.as_str());
        self.values.push(value);
        self.numbers.push(number);
        self.expires_at.push(expires_at);
        self.is_new.push(stored.is_none());
        self.is_live.push(stored.is_some_and(|stored| stored.is_live));
    }

    /// Adds the change of an operation that [`check`] accepted, and returns its result. `stored` may have expired;
    /// `number` is that of the operation, from which the result of a write gets its version later.
    fn add(
        &mut self,
        operation: &'a Operation,
        stored: Option<&Stored>,
        number: i64,
        now: SystemTime,
    ) -> Result<BatchResult, BatchError> {
        let stored_bytes = stored.map_or(0, |stored| stored.bytes);
        match (&operation.action, stored) {
            (Action::Get, stored) => match stored {
                Some(Stored { entry, .. }) if entry.value.is_some() => Ok(BatchResult::Entry(entry.clone())),
                _ => Err(BatchError::ResponseTooLarge),
            },
            (Action::Delete, _) => {
                self.push(operation, None, number, None, stored);
                self.added_keys -= 1;
                self.added_bytes -= stored_bytes;
                Ok(BatchResult::Deleted(operation.key.clone()))
            }
            (Action::Create(content) | Action::Put(content) | Action::Upsert(content), stored) => {
                let live = stored.filter(|stored| stored.is_live);
                let created_at = live.map_or(now, |stored| stored.entry.created_at);
                let value = content.value.as_str();
                self.push(operation, Some(value), number, content.expires_at, stored);
                self.added_keys += i64::from(stored.is_none());
                self.added_bytes += (operation.key.as_str().len() + value.len()) as i64 - stored_bytes;
                Ok(BatchResult::Entry(Entry {
                    key: operation.key.clone(),
                    value: None,
                    version: number.into(),
                    created_at,
                    updated_at: now,
                    expires_at: content.expires_at,
                }))
            }
        }
    }
}

impl Stored {
    /// Reads a row of [`Transaction::stored_rows`]; none if it has no key.
    fn read(row: &Row, now: SystemTime) -> Result<Option<Self>, db::Error> {
        let Some(key) = column::<Option<String>>(row, TABLE, "key")? else { return Ok(None) };
        let text: Option<String> = column(row, TABLE, "value")?;
        let expires_at: Option<SystemTime> = column(row, TABLE, "expires_at")?;
        let value = text.map(parse_value).transpose()?;
        Ok(Some(Self {
            entry: super::entry(row, Key::from_stored(key), value, column(row, TABLE, "version")?)?,
            bytes: i64::from(column::<i32>(row, TABLE, "bytes")?),
            is_live: expires_at.is_none_or(|expires_at| expires_at > now),
        }))
    }
}
