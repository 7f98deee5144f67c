//! The tables `data_store`, `data_clock` and `data_usage`.
//!
//! Every statement, or the first of a transaction, begins with the caller's session, so that a session that has ended reads
//! and writes nothing. Writers of values of one user queue up at their row of `data_clock`, which numbers their writes; what
//! they find after that is what the one before them left. Rows of one user are locked in this order: `data_clock`,
//! `data_store` by key, `data_usage`. A sweep through all users takes none that is locked.

mod batch;
mod ownerless;
mod read;
mod sweep;
mod write;

use tokio_postgres::Row;

pub use self::batch::{Answer, BatchRefusal, batch};
pub(super) use self::ownerless::remove_everything_of;
pub use self::ownerless::{OwnerlessRemoved, remove_ownerless};
pub use self::read::{Found, PAGE_BYTES, Page, PageOf, find, list};
pub use self::sweep::sweep;
pub use self::write::{Draft, Written, delete, write};
use super::{Error, column};
use crate::domain::{Entry, Key, Value, VersionMatch};

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

/// The numbers to look for; null stands for any.
fn numbers(versions: &VersionMatch) -> Option<Vec<i64>> {
    match versions {
        VersionMatch::Any => None,
        VersionMatch::Among(versions) => Some(versions.iter().map(|version| version.number()).collect()),
    }
}

/// A value as it is stored.
fn value(text: String) -> Result<Value, Error> {
    Value::from_stored(text).map_err(|error| Error::Corrupt { table: TABLE, source: Box::new(error) })
}

fn entry(row: &Row, key: Key, value: Option<Value>, version: i64) -> Result<Entry, Error> {
    Ok(Entry {
        key,
        value,
        version: version.into(),
        created_at: column(row, TABLE, "created_at")?,
        updated_at: column(row, TABLE, "updated_at")?,
        expires_at: column(row, TABLE, "expires_at")?,
    })
}
