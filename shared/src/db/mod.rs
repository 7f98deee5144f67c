//! PostgreSQL: all SQL of the service, each statement beside the function that runs it. This module does not know HTTP.
//!
//! A request is one statement; the few exceptions give their reason. It is sent unnamed (`query_typed`), which takes one
//! round trip and works with every proxy. Its first part checks the session.

pub mod admin;
mod connector;
mod credentials;
pub mod data;
mod dialect;
mod pool;
mod role;
pub mod sessions;
pub mod sign_in;
mod tls;
pub mod users;

use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};

pub use self::credentials::Credentials;
pub use self::dialect::Dialect;
pub use self::pool::{Database, ping};
pub use self::role::Role;
use crate::report::BoxError;

/// Why a statement has no result. The modules below translate violations of named constraints.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The session was signed out or revoked, has expired, or its user is gone.
    #[error("the session has ended")]
    SessionEnded,
    /// The connection or the response timed out or failed, or the server is starting, stopping, or overloaded.
    #[error("the database is unavailable")]
    Unavailable(#[source] BoxError),
    /// The server rejected the statement.
    #[error("the database rejected the statement")]
    Rejected(#[source] Box<tokio_postgres::Error>),
    /// A row contains a value that this program does not write.
    #[error("a row of {table} cannot be read")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The fault.
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

    /// Replaces a foreign key violation by `SessionEnded`: all foreign keys point to users and sessions, so another request
    /// has just removed the owner.
    fn or_session_ended(self) -> Self {
        match self {
            Self::Rejected(error) if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => Self::SessionEnded,
            error => error,
        }
    }
}

/// Converts a rejection. A server that is overloaded, starting, or stopping may accept the statement later.
fn rejected(error: tokio_postgres::Error) -> Error {
    let is_temporary = error.code().is_none_or(|state| {
        is_conflict(&error)
            || ["08", "53", "57", "58"].iter().any(|class| state.code().starts_with(class))
            || *state == SqlState::LOCK_NOT_AVAILABLE
    });
    if is_temporary { Error::Unavailable(Box::new(error)) } else { Error::Rejected(Box::new(error)) }
}

/// Whether the transaction was rolled back because of a concurrent one.
fn is_conflict(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED))
}

/// Reads a column of a row of `table`; of a join, name the table that a fault most likely lies in.
fn column<'a, T: FromSql<'a>>(row: &'a Row, table: &'static str, name: &str) -> Result<T, Error> {
    row.try_get(name).map_err(|error| Error::Corrupt { table, source: Box::new(error) })
}

/// The parameters of a statement and their types.
type Parameters<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// The effect of a statement. It determines whether the statement may be repeated after a lost connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// It changes nothing and is repeated.
    Read,
    /// It may have changed rows, or may yet do so: a repetition could reject what the first run did, and a late first run
    /// could undo later changes. The caller learns that the outcome is unknown.
    Write,
}
