//! Statements: prepared once per connection and then executed by name, or sent unnamed.
//!
//! The server parses and plans an unnamed statement at each execution, which takes longer than executing it.

use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};

use deadpool_postgres::ClientWrapper;
use futures_util::FutureExt;
use futures_util::future::join;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use super::pooler::is_direct;
use super::{Dialect, Parameters};
use crate::env::{self, EnvError};

/// Whether statements are prepared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preparation {
    /// Statements are prepared, unless the connections lead to a connection pooler or to Aurora DSQL.
    #[default]
    Auto,
    /// Statements are prepared. A pooler must support that.
    On,
    /// Statements are not prepared.
    Off,
}

impl Preparation {
    /// Reads `DATABASE_PREPARE`: `auto` (the default), `on`, or `off`.
    ///
    /// # Errors
    /// The variable has another value.
    pub fn from_env() -> Result<Self, EnvError> {
        env::choice("DATABASE_PREPARE", &[("auto", Self::Auto), ("on", Self::On), ("off", Self::Off)])
    }
}

/// Whether the connections of a pool prepare statements at the moment.
pub(super) struct PreparationState(AtomicU8);

/// It is unknown whether the newest connection leads to a pooler. The next statement finds out.
const UNKNOWN: u8 = 0;
/// Statements are prepared as long as the newest connection does not lead to a pooler.
const ON_WITHOUT_POOLER: u8 = 1;
/// Statements are prepared by the setting.
const ON: u8 = 2;
/// Statements are not prepared, by the setting or because a pooler was found.
const OFF: u8 = 3;

impl PreparationState {
    pub(super) fn new(preparation: Preparation, dialect: Dialect) -> Self {
        Self(AtomicU8::new(match preparation {
            Preparation::Auto if dialect == Dialect::PostgreSql => UNKNOWN,
            Preparation::On => ON,
            Preparation::Auto | Preparation::Off => OFF,
        }))
    }

    /// Records that a connection was opened.
    pub(super) fn record_connection(&self) {
        let _ = self.0.compare_exchange(ON_WITHOUT_POOLER, UNKNOWN, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Records whether a connection leads to the server directly. One that does not outweighs all that do.
    fn record_check(&self, is_direct: bool) {
        if is_direct {
            let _ = self.0.compare_exchange(UNKNOWN, ON_WITHOUT_POOLER, Ordering::Relaxed, Ordering::Relaxed);
        } else {
            self.turn_off();
        }
    }

    /// Ends the preparation of statements for the life of the process.
    pub(super) fn turn_off(&self) {
        self.0.store(OFF, Ordering::Relaxed);
    }
}

/// A connection on which work runs.
pub(super) struct Connection<'a> {
    pub(super) client: &'a ClientWrapper,
    /// The state of the pool that the connection belongs to.
    pub(super) preparation: &'a PreparationState,
}

impl Connection<'_> {
    /// Runs a command without parameters, such as `begin`.
    pub(super) async fn command(&self, command: &str) -> Result<(), Error> {
        self.client.batch_execute(command).await
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs a statement. The first poll sends all messages, so that joined statements are pipelined in their order.
    async fn query(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, Error> {
        match self.preparation.0.load(Ordering::Relaxed) {
            OFF => self.query_unnamed(sql, parameters).await,
            UNKNOWN => {
                // Both take one round trip. A failed check is repeated with the next statement.
                let (rows, is_direct) = join(self.query_unnamed(sql, parameters), is_direct(self.client)).await;
                if let Ok(is_direct) = is_direct {
                    self.preparation.record_check(is_direct);
                }
                rows
            }
            _ => self.query_prepared(sql, parameters).await,
        }
    }

    async fn query_prepared(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, Error> {
        let types: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
        let mut preparing = Box::pin(self.client.prepare_typed_cached(sql, &types));
        match preparing.as_mut().now_or_never() {
            Some(Ok(statement)) => {
                let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
                self.client.query(&statement, &values).await
            }
            Some(Err(error)) => Err(error),
            // The first execution on a connection does not wait for the preparation, which follows in the same round trip. If
            // the preparation fails, the next execution tries it again.
            None => join(preparing, self.query_unnamed(sql, parameters)).await.1,
        }
    }

    async fn query_unnamed(&self, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, Error> {
        let parameters = parameters.iter().map(|(value, kind)| (*value, kind.clone()));
        self.client.query_typed(sql, &parameters.collect::<Vec<_>>()).await
    }
}

/// A statement or a transaction, which runs on one connection.
pub(super) trait Work: Sync {
    type Output: Send;

    /// The name in traces of work that consists of several statements.
    const NAME: Option<&'static str> = None;

    /// Returns the SQL text in traces of work that is a single statement.
    fn text(&self) -> Option<&str> {
        None
    }

    /// Runs the work. It may be called again after an attempt that failed.
    fn run(&self, connection: &Connection<'_>) -> impl Future<Output = Result<Self::Output, Error>> + Send;
}

/// One statement.
pub(super) struct Statement<'a> {
    pub(super) sql: &'a str,
    pub(super) parameters: &'a Parameters<'a>,
}

impl Work for Statement<'_> {
    type Output = Vec<Row>;

    fn text(&self) -> Option<&str> {
        Some(self.sql)
    }

    async fn run(&self, connection: &Connection<'_>) -> Result<Vec<Row>, Error> {
        connection.query(self.sql, self.parameters).await
    }
}

/// Whether the server does not know a prepared statement, or another one has its name. It was not executed.
pub(super) fn is_unknown(error: &Error) -> bool {
    matches!(error.code(), Some(&SqlState::INVALID_SQL_STATEMENT_NAME | &SqlState::DUPLICATE_PSTATEMENT))
}

/// Whether a migration has changed the columns that a prepared statement returns. It was not executed.
pub(super) fn is_outdated(error: &Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        *error.code() == SqlState::FEATURE_NOT_SUPPORTED && error.routine() == Some("RevalidateCachedQuery")
    })
}
