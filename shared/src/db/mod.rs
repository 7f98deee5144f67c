//! PostgreSQL: the only SQL, each statement beside the function that runs it. No HTTP.
//!
//! A request is one statement, with few exceptions that say why. It is sent unnamed (`query_typed`), which takes one round
//! trip and suits every proxy; the session check rides in it as its first part.

mod connector;
pub mod data;
pub mod migrations;
pub mod roles;
mod server;
pub mod sessions;
pub mod sign_in;
mod tls;
pub mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use deadpool_postgres::{ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Row};
use tracing::Instrument;

use self::connector::Connector;
pub use self::server::Server;
use crate::clock::{Clock, Stopwatch};
use crate::domain::uuid_v7;
use crate::error::BoxError;
use crate::request_log;
use crate::secrets::{Keys, Secrets};
use crate::traces;

/// Why a statement has no result. Constraints that a caller can violate are told apart by the modules below.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, no answer in time, or a server that is starting, stopping or full.
    #[error("the database is out of reach")]
    Unavailable(#[source] BoxError),
    /// The server refused the statement.
    #[error("the database refused the statement")]
    Refused(#[source] Box<tokio_postgres::Error>),
    /// A row holds what this program would not have written.
    #[error("a row of {table} cannot be read")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// What is wrong.
        #[source]
        source: BoxError,
    },
}

impl Error {
    /// The named constraint that refused the statement.
    fn constraint(&self) -> Option<&str> {
        match self {
            Self::Refused(error) => error.as_db_error()?.constraint(),
            _ => None,
        }
    }

    /// A row was written for a user or a session that another request has just removed: all foreign keys point to those.
    fn owner_is_gone(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION))
    }
}

/// A column of a row of `table`, or of several tables of which that is the one to look at.
fn column<'a, T: FromSql<'a>>(row: &'a Row, table: &'static str, name: &str) -> Result<T, Error> {
    row.try_get(name).map_err(|error| Error::Corrupt { table, source: Box::new(error) })
}

/// What a statement does to the database, and so what may be done when nobody knows whether it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing: it is sent again.
    Read,
    /// It may have changed rows, or may yet: a second run could refuse what the first one did, and a first one that comes
    /// late could undo what others have done since. The caller is told that the outcome is unknown.
    Write,
}

type Parameters<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// Opening a connection, TLS and sign-in included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// A statement, or a transaction of several, its locks included.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this long without a statement the environment may have been frozen and the socket be dead without a sign.
const SUSPECT_AFTER: Duration = Duration::from_secs(10);
/// How long a suspect connection gets to show that it lives.
const SUSPECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a database that is asked whether it is there may take to say so.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Runs of something that lost against a concurrent one: serialization failures and deadlocks, which left nothing behind.
const CONFLICT_ATTEMPTS: usize = 3;
/// The same on DSQL, where those that would wait for each other on PostgreSQL are refused instead.
const CONFLICT_ATTEMPTS_ON_DSQL: usize = 12;
/// Before it runs again there it lets others finish: for up to this long at first, twice as long each time, and so on.
const FIRST_PAUSE_ON_DSQL: Duration = Duration::from_millis(8);
const LONGEST_PAUSE_ON_DSQL: Duration = Duration::from_millis(256);

/// A pool of connections, one for each request that is served at a time.
pub struct Database {
    pool: Pool,
    server: Server,
    clock: Arc<dyn Clock>,
    /// Milliseconds since 1970 of the last answer. By the wall clock: the monotonic one stands still in a frozen machine.
    answered_at: AtomicU64,
}

/// Something that a connection is asked for.
trait Work: Sync {
    type Output: Send;

    /// What it is called where it is several statements.
    const NAME: Option<&'static str> = None;

    /// Its text where it is a single one.
    fn text(&self) -> Option<&str> {
        None
    }

    fn run(&self, client: &Client) -> impl Future<Output = Result<Self::Output, tokio_postgres::Error>> + Send;
}

/// One statement.
struct Statement<'a> {
    sql: &'a str,
    parameters: &'a Parameters<'a>,
}

impl Work for Statement<'_> {
    type Output = Vec<Row>;

    fn text(&self) -> Option<&str> {
        Some(self.sql)
    }

    async fn run(&self, client: &Client) -> Result<Vec<Row>, tokio_postgres::Error> {
        let parameters = self.parameters.iter().map(|(value, kind)| (*value, kind.clone()));
        client.query_typed(self.sql, &parameters.collect::<Vec<_>>()).await
    }
}

/// A connection that is at work. Unless it is done with that it does not go back into the pool, whatever happens, be it that
/// nobody waits any more: it is dead, or still busy with what was given up, or in the middle of a transaction.
struct AtWork(Option<Object>);

impl AtWork {
    fn client(&self) -> &Client {
        // Only `done` and the end take it out.
        self.0.as_ref().unwrap_or_else(|| unreachable!("a connection at work"))
    }

    /// Gives it back to the pool.
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

/// What became of one attempt.
enum Attempt<T> {
    Answered(T),
    /// The connection is gone; whether the work was done is unknown.
    Lost(BoxError),
    /// The connection is of no use, and the work was not done.
    NotRun(BoxError),
    Refused(tokio_postgres::Error),
}

impl Database {
    pub(crate) fn new<K: Keys>(secrets: Arc<Secrets<K>>, clock: Arc<dyn Clock>, connections: usize) -> Self {
        let server = secrets.server();
        let manager = deadpool_postgres::Manager::from_connect(
            tokio_postgres::Config::new(),
            Connector::new(secrets),
            // `Clean` would send `discard all`, on which RDS Proxy pins the connection.
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(CONNECT_TIMEOUT))
            .wait_timeout(Some(STATEMENT_TIMEOUT))
            .build();
        // The builder only fails for timeouts without a runtime, and there is one.
        let pool = pool.unwrap_or_else(|error| unreachable!("{error}"));
        Self { pool, server, clock, answered_at: AtomicU64::new(0) }
    }

    /// What kind of server it is.
    pub fn server(&self) -> Server {
        self.server
    }

    /// Opens a connection ahead of the first request. If there is none to be had, the request will tell.
    pub(crate) async fn warm_up(&self) {
        match self.pool.get().await {
            Ok(_) => self.answered(),
            Err(error) => tracing::warn!("no database connection yet: {}", crate::telemetry::chain(&error)),
        }
    }

    /// Runs a statement that has at most one row.
    async fn query_opt(&self, effect: Effect, sql: &str, parameters: &Parameters<'_>) -> Result<Option<Row>, Error> {
        let mut rows = self.query(effect, sql, parameters).await?;
        debug_assert!(rows.len() <= 1, "{sql}");
        Ok(rows.pop())
    }

    /// Runs a statement that has a row whatever happens.
    async fn query_one(&self, effect: Effect, sql: &str, parameters: &Parameters<'_>) -> Result<Row, Error> {
        let row = self.query_opt(effect, sql, parameters).await?;
        // The statements that come here are written so; what else it could be is a fault of theirs.
        row.ok_or_else(|| Error::Corrupt { table: "no table", source: "a statement has no row".into() })
    }

    /// Runs a statement.
    async fn query(&self, effect: Effect, sql: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, Error> {
        self.run(effect, &Statement { sql, parameters }).await
    }

    /// Has something done on a connection that lives as far as can be known.
    async fn run<W: Work>(&self, effect: Effect, work: &W) -> Result<W::Output, Error> {
        let stopwatch = Stopwatch::start();
        let done = self.run_until_done(effect, work).await;
        request_log::note_database(stopwatch.elapsed());
        done
    }

    async fn run_until_done<W: Work>(&self, effect: Effect, work: &W) -> Result<W::Output, Error> {
        let mut conflicts = 0;
        let mut losses = 0;
        loop {
            let suspect = self.is_suspect() && losses == 0;
            let (probe, patience) = match effect {
                // It is its own probe.
                Effect::Read if suspect => (false, SUSPECT_TIMEOUT),
                _ => (suspect, STATEMENT_TIMEOUT),
            };
            let client = self.connection(probe).await?;
            match self.attempt(client, work, patience).await {
                Attempt::Answered(output) => {
                    self.answered();
                    return Ok(output);
                }
                Attempt::Lost(_) if effect == Effect::Read && losses == 0 => losses += 1,
                Attempt::NotRun(_) if losses == 0 => losses += 1,
                Attempt::Lost(source) | Attempt::NotRun(source) => return Err(Error::Unavailable(source)),
                Attempt::Refused(error) if is_conflict(&error) && conflicts + 1 < self.conflict_attempts() => {
                    conflicts += 1;
                    self.let_others_finish(conflicts).await;
                }
                Attempt::Refused(error) => return Err(refused(error)),
            }
        }
    }

    fn conflict_attempts(&self) -> usize {
        match self.server {
            Server::PostgreSql => CONFLICT_ATTEMPTS,
            Server::AuroraDsql => CONFLICT_ATTEMPTS_ON_DSQL,
        }
    }

    /// On PostgreSQL they have: it is they who let this one go on.
    async fn let_others_finish(&self, conflicts: usize) {
        if self.server == Server::AuroraDsql {
            let doubled = u32::try_from(conflicts).map_or(u32::MAX, |conflicts| 1 << conflicts.min(16));
            let longest = FIRST_PAUSE_ON_DSQL.saturating_mul(doubled / 2).min(LONGEST_PAUSE_ON_DSQL);
            // The second half of an id is random: not all at once again.
            let (_, random) = uuid_v7(self.clock.now()).as_u64_pair();
            tokio::time::sleep(longest.mul_f64(f64::from(random as u32) / f64::from(u32::MAX))).await;
        }
    }

    async fn attempt<W: Work>(&self, client: Object, work: &W, patience: Duration) -> Attempt<W::Output> {
        let client = AtWork(Some(client));
        let span = traces::database(W::NAME, work.text());
        let done = timeout(patience, work.run(client.client())).instrument(span.clone()).await;
        match &done {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => traces::unanswered(&span, error.code()),
            Err(_) => traces::unanswered(&span, None),
        }
        match done {
            Ok(Ok(output)) => {
                client.done();
                Attempt::Answered(output)
            }
            Ok(Err(error)) if error.is_closed() || error.as_db_error().is_none() && client.client().is_closed() => {
                Attempt::Lost(Box::new(error))
            }
            // The server's last words on a connection.
            Ok(Err(error)) if is_farewell(&error) => Attempt::Lost(Box::new(error)),
            // A failover has turned the writer behind this connection into a reader: the next one finds the new writer.
            Ok(Err(error)) if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => {
                Attempt::NotRun(Box::new(error))
            }
            Ok(Err(error)) => {
                client.done();
                Attempt::Refused(error)
            }
            Err(elapsed) => Attempt::Lost(Box::new(elapsed)),
        }
    }

    /// A connection from the pool or a new one; with `probe`, one that has just answered.
    async fn connection(&self, probe: bool) -> Result<Object, Error> {
        // Lets the runtime look at its sockets once, so that one the server has closed is known to be closed before it is
        // used; afterwards nobody could tell whether the statement had run.
        tokio::task::yield_now().await;
        let client = self.pool.get().await.map_err(unreachable_database)?;
        if !probe {
            return Ok(client);
        }
        match timeout(SUSPECT_TIMEOUT, client.check_connection()).await {
            Ok(Ok(())) => Ok(client),
            _ => {
                drop(Object::take(client));
                self.pool.get().await.map_err(unreachable_database)
            }
        }
    }

    fn answered(&self) {
        self.answered_at.store(self.now_ms(), Ordering::Relaxed);
    }

    fn is_suspect(&self) -> bool {
        let idle_ms = self.now_ms().abs_diff(self.answered_at.load(Ordering::Relaxed));
        u128::from(idle_ms) > SUSPECT_AFTER.as_millis()
    }

    fn now_ms(&self) -> u64 {
        let since_epoch = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Whether the database answers, and soon: whoever asks does so again and again.
///
/// # Errors
/// It does not answer within two seconds.
pub async fn ping(db: &Database) -> Result<(), Error> {
    match timeout(PING_TIMEOUT, db.query(Effect::Read, "select", &[])).await {
        Ok(answer) => answer.map(|_| ()),
        Err(elapsed) => Err(Error::Unavailable(Box::new(elapsed))),
    }
}

fn unreachable_database(error: PoolError) -> Error {
    Error::Unavailable(Box::new(error))
}

/// Two transactions got into each other's way and this one was undone.
fn is_conflict(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED))
}

/// The server ends the connection, because somebody wants it to, it stops, or it has crashed. Whether a statement that was on
/// its way is done, nobody knows.
fn is_farewell(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN | &SqlState::IDLE_SESSION_TIMEOUT)
    )
}

/// A server that is overloaded, starting or stopping will answer another time; anything else is a fault.
fn refused(error: tokio_postgres::Error) -> Error {
    let passing = error.code().is_none_or(|state| {
        is_conflict(&error)
            || ["08", "53", "57", "58"].iter().any(|class| state.code().starts_with(class))
            || *state == SqlState::LOCK_NOT_AVAILABLE
    });
    if passing { Error::Unavailable(Box::new(error)) } else { Error::Refused(Box::new(error)) }
}
