//! The tables `data_store`, `data_clock`, and `data_usage`.
//!
//! Every statement, or the first one of a transaction, checks the caller's session, so that an ended session reads and writes
//! nothing. Writes of one user are serialized by the user's row of `data_clock`, which also assigns their versions. Rows of one
//! user are locked in this order: `data_clock`, `data_store` by key, `data_usage`. A sweep of all users skips locked rows.

mod batch;
mod orphans;
mod purge;
mod read;
mod write;

use tokio_postgres::Row;

pub use self::batch::{BatchError, BatchResult, batch};
pub(super) use self::orphans::delete_all_of;
pub use self::orphans::{OrphansRemoved, remove_orphans};
pub use self::purge::purge_expired;
pub use self::read::{Lookup, PAGE_BYTES, Page, PageRequest, find, list};
pub use self::write::{NewEntry, Written, delete, write};
use super::column;
use crate::db;
use crate::domain::{Entry, Key, Value, VersionMatch};

const TABLE: &str = "data_store";

/// The reason why an operation on values failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key does not exist.
    #[error("the key does not exist")]
    NotFound,
    /// The key exists.
    #[error("the key exists")]
    Exists,
    /// The stored value has none of the given versions.
    #[error("the value has another version")]
    VersionMismatch,
    /// The write would exceed the quota.
    #[error("the write would exceed the quota")]
    QuotaExceeded,
    /// The statement failed.
    #[error(transparent)]
    Database(db::Error),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        match error.constraint() {
            Some("data_usage_within_quota") => Self::QuotaExceeded,
            _ => Self::Database(error.or_session_ended()),
        }
    }
}

/// Returns the versions as a statement parameter: null means any version.
fn numbers(versions: &VersionMatch) -> Option<Vec<i64>> {
    match versions {
        VersionMatch::Any => None,
        VersionMatch::Among(versions) => Some(versions.iter().map(|version| version.number()).collect()),
    }
}

/// Wraps a stored value.
fn value(text: String) -> Result<Value, db::Error> {
    Value::from_stored(text).map_err(|error| db::Error::Corrupt { table: TABLE, source: Box::new(error) })
}

fn entry(row: &Row, key: Key, value: Option<Value>, version: i64) -> Result<Entry, db::Error> {
    Ok(Entry {
        key,
        value,
        version: version.into(),
        created_at: column(row, TABLE, "created_at")?,
        updated_at: column(row, TABLE, "updated_at")?,
        expires_at: column(row, TABLE, "expires_at")?,
    })
}
