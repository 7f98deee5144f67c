//! The tables `data_store`, `data_clock` and `data_usage`.
//!
//! Every statement, or the first of a transaction, begins with the caller's session, so that a session that has ended reads
//! and writes nothing. Writers of values of one user queue up at their row of `data_clock`, which numbers their writes; what
//! they find after that is what the one before them left. Rows of one user are locked in this order: `data_clock`,
//! `data_store` by key, `data_usage`. A sweep through all users takes none that is locked.

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

/// Why a data request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user has no such key.
    #[error("the key does not exist")]
    NotFound,
    /// The user has such a key already.
    #[error("the key exists")]
    Exists,
    /// What is stored has none of the versions that were named.
    #[error("the value has another version")]
    VersionMismatch,
    /// The user would have more than the quota allows.
    #[error("the quota is used up")]
    QuotaExceeded,
    /// Anything else.
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

/// The numbers to look for; null stands for any.
fn numbers(versions: &VersionMatch) -> Option<Vec<i64>> {
    match versions {
        VersionMatch::Any => None,
        VersionMatch::Among(versions) => Some(versions.iter().map(|version| version.number()).collect()),
    }
}

/// A value as it is stored.
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
