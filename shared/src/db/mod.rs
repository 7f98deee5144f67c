//! PostgreSQL: all SQL of the service, each statement beside the function that runs it. This module does not know HTTP.
//!
//! A request is one statement, whose first CTE checks the session. The few exceptions give their reason. Each
//! connection prepares its statements once, without a round trip for it.

pub mod account_events;
pub mod admin;
pub mod announcements;
mod connector;
pub mod credential_change;
mod credentials;
pub mod data;
mod dialect;
pub mod imports;
pub mod known_networks;
pub mod mailed_codes;
pub mod operators;
mod pool;
mod pooler;
mod rate_limits;
mod role;
pub mod sessions;
pub mod sign_in;
mod statement;
pub mod sweep;
mod tls;
mod user_lock;
pub mod users;

use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};

pub use self::credentials::Credentials;
pub use self::dialect::Dialect;
pub use self::pool::{Database, PoolSettings, ping};
pub use self::role::Role;
pub use self::statement::Preparation;
pub use self::tls::Tls;
use crate::report::BoxError;

/// Why a statement has no result. The modules below translate violations of named constraints.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The session was ended or revoked, has expired, or its user was deleted.
    #[error("the session has ended")]
    SessionEnded,
    /// The connection failed, the response took too long, or the server is starting, stopping, or overloaded.
    #[error("the database is unavailable")]
    Unavailable(#[source] BoxError),
    /// The server rejected the statement.
    #[error("the database rejected the statement")]
    Rejected(#[source] Box<tokio_postgres::Error>),
    /// A row contains a value that this service does not write.
    #[error("a row of {table} cannot be read")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The reason.
        #[source]
        source: BoxError,
    },
}

impl Error {
    /// Returns the name of the violated constraint.
    fn constraint(&self) -> Option<&str> {
        match self {
            Self::Rejected(error) => error.as_db_error()?.constraint(),
            _ => None,
        }
    }
}

/// Converts an error of the server: `Unavailable` if the statement may succeed later, and `SessionEnded` for a violated foreign
/// key, because all of them reference users, and a concurrent request has deleted the owner. `Rejected` otherwise.
fn rejected(error: tokio_postgres::Error) -> Error {
    if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) {
        return Error::SessionEnded;
    }
    let is_temporary = error.code().is_none_or(|state| {
        is_conflict(&error)
            || ["08", "53", "57", "58"].iter().any(|class| state.code().starts_with(class))
            || *state == SqlState::LOCK_NOT_AVAILABLE
    });
    if is_temporary { Error::Unavailable(Box::new(error)) } else { Error::Rejected(Box::new(error)) }
}

/// Whether the transaction was rolled back because of a concurrent one. A write of a value inserts a row only if it found none,
/// so a violation of this primary key means that another write has inserted it meanwhile.
fn is_conflict(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED) => true,
        Some(&SqlState::UNIQUE_VIOLATION) => {
            error.as_db_error().and_then(|error| error.constraint()) == Some("data_store_pkey")
        }
        _ => false,
    }
}

/// Reads a column. `table` is the table that an error names; for a join, the one that the column most likely comes
/// from.
fn column<'a, T: FromSql<'a>>(row: &'a Row, table: &'static str, name: &str) -> Result<T, Error> {
    row.try_get(name).map_err(|error| Error::Corrupt { table, source: Box::new(error) })
}

/// Returns a name for a comparison with stored ones. PostgreSQL does not accept NUL in texts, so the result for such a name is the
/// empty one, which no account has either.
fn name_to_find(name: &str) -> &str {
    if name.contains('\0') { "" } else { name }
}

/// The parameters of a statement and their types.
type Parameters<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// The effect of a statement on the database. It decides whether the statement is repeated after a lost connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Changes nothing and is repeated.
    Read,
    /// Changes rows and is not repeated, because the first run may have succeeded or may still succeed: a repetition
    /// could fail on the changes of the first run, and a late first run could undo later changes.
    Write,
}
