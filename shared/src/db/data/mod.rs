//! Values: the tables `data_store` and `user_counters`.
//!
//! Each request checks the session in its first statement, so that an ended session reads and writes nothing.
//!
//! All statements lock the rows of a user in this order: `data_store` by key, then `user_counters`, whose lock serializes the
//! writers of a user. A write that finds no row under its key inserts one without `on conflict`. If another one has
//! inserted it since, the statement fails, changes nothing, and is repeated.
//! The deletion of an account deletes the counters, so a write that has waited for them finds none and stores nothing.
//! The purge of all users skips locked rows.

mod batch;
mod deleted_users;
mod purge;
mod read;
mod write;

use tokio_postgres::Row;

pub use self::batch::{BatchError, BatchResult, batch};
pub(super) use self::deleted_users::delete_values_of;
pub use self::deleted_users::remove_values_of_deleted_users;
pub use self::purge::purge_expired;
pub use self::read::{Lookup, PAGE_BYTES, Page, PageRequest, find, list};
pub use self::write::{NewEntry, Written, delete, write};
use super::column;
use crate::db;
use crate::domain::{Entry, Key, Value, Version, VersionMatch};

const TABLE: &str = "data_store";

/// Why a value was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user has no value under this key.
    #[error("the key does not exist")]
    NotFound,
    /// The user already has a value under this key, in this version.
    #[error("the key exists")]
    Exists(Version),
    /// The condition does not allow the stored version; none without a stored value.
    #[error("the stored version does not match")]
    VersionMismatch(Option<Version>),
    /// The write would exceed the user's quota.
    #[error("the write would exceed the quota")]
    QuotaExceeded,
    /// Any other error of the statement.
    #[error(transparent)]
    Database(db::Error),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        match error.constraint() {
            Some("user_counters_within_quota") => Self::QuotaExceeded,
            _ => Self::Database(error),
        }
    }
}

/// Returns the version numbers as a parameter; null matches every version.
fn version_numbers(versions: &VersionMatch) -> Option<Vec<i64>> {
    match versions {
        VersionMatch::Any => None,
        VersionMatch::Among(versions) => Some(versions.iter().map(|version| version.number()).collect()),
    }
}

/// Parses a stored value.
fn parse_value(text: String) -> Result<Value, db::Error> {
    Value::from_stored(text).map_err(|error| db::Error::Corrupt { table: TABLE, source: Box::new(error) })
}

/// Makes an entry of the row's timestamps and the given parts.
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
