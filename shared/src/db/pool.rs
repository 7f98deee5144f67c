//! The connection pool: takes a connection that is likely alive, runs work on it, and repeats what is harmless to repeat.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Row};
use tracing::Instrument;

use super::connector::Connector;
use super::{Credentials, Dialect, Effect, Error, Parameters, is_conflict, rejected};
use crate::clock::{Clock, Stopwatch};
use crate::report::{self, BoxError};
use crate::telemetry::{spans, stats};

/// Time to open a connection, TLS and sign-in included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Time for a statement or a transaction, waiting for locks included.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle time after which a connection may be stale: a frozen environment does not notice that its socket dies.
const STALE_AFTER: Duration = Duration::from_secs(10);
/// Time for the first response on a connection that may be stale.
const STALE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for the database to answer a readiness check.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Attempts at work that a concurrent transaction rolled back (serialization failure or deadlock).
const CONFLICT_ATTEMPTS: usize = 3;
/// The same on DSQL, which rolls back where PostgreSQL waits.
const CONFLICT_ATTEMPTS_ON_DSQL: usize = 12;
/// The first pause on DSQL lasts up to this long; each further one up to twice as long, with a maximum.
const FIRST_PAUSE_ON_DSQL: Duration = Duration::from_millis(8);
const LONGEST_PAUSE_ON_DSQL: Duration = Duration::from_millis(256);

/// A pool of connections, one for each request that the process serves at a time.
pub struct Database {
    pool: Pool,
    dialect: Dialect,
    clock: Arc<dyn Clock>,
    /// Time of the last response in milliseconds since 1970. The monotonic clock would not advance during a freeze.
    answered_at: AtomicU64,
}

/// A piece of work on one connection.
pub(super) trait Work: Sync {
    type Output: Send;

    /// The name in traces of work that consists of several statements.
    const NAME: Option<&'static str> = None;

    /// Returns the text of work that is a single statement.
    fn text(&self) -> Option<&str> {
        None
    }

    fn run(&self, client: &Client) -> impl Future<Output = Result<Self::Output, tokio_postgres::Error>> + Send;
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

    async fn run(&self, client: &Client) -> Result<Vec<Row>, tokio_postgres::Error> {
        let parameters = self.parameters.iter().map(|(value, kind)| (*value, kind.clone()));
        client.query_typed(self.sql, &parameters.collect::<Vec<_>>()).await
    }
}

/// Discards the connection on drop unless [`ConnectionGuard::complete`] returned it to the pool: after a cancelled or failed
/// statement its state is unknown.
struct ConnectionGuard(Option<Object>);

impl ConnectionGuard {
    fn client(&self) -> &Client {
        // Only `complete` and `drop` empty the guard, and both consume it.
        self.0.as_ref().unwrap_or_else(|| unreachable!("the guard holds a connection"))
    }

    /// Returns the connection to the pool.
    fn complete(mut self) {
        self.0 = None;
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

/// The outcome of one attempt.
enum Attempt<T> {
    Completed(T),
    /// The connection is lost; whether the work was done is unknown.
    ConnectionLost(BoxError),
    /// The connection is useless, and the work was not done.
    NotExecuted(BoxError),
    Rejected(tokio_postgres::Error),
}

impl Database {
    pub(crate) fn new(credentials: Arc<dyn Credentials>, clock: Arc<dyn Clock>, connections: usize) -> Self {
        let dialect = credentials.dialect();
        let manager = Manager::from_connect(
            Config::new(),
            Connector::new(credentials),
            // `Clean` would send `discard all`, on which RDS Proxy pins the connection.
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(CONNECT_TIMEOUT))
            .wait_timeout(Some(STATEMENT_TIMEOUT))
            .build();
        // The builder fails only for timeouts without a runtime.
        let pool = pool.unwrap_or_else(|error| unreachable!("{error}"));
        Self { pool, dialect, clock, answered_at: AtomicU64::new(0) }
    }

    /// Returns the kind of server.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Opens a connection before the first request. A failure is only logged: the first request tries again.
    pub(crate) async fn warm_up(&self) {
        match self.pool.get().await {
            Ok(_) => self.record_response(),
            Err(error) => tracing::warn!("no database connection yet: {}", report::chain(&error)),
        }
    }

    /// Takes a connection out of the pool for good.
    pub(super) async fn take_connection(&self) -> Result<ClientWrapper, PoolError> {
        self.pool.get().await.map(Object::take)
    }

    /// Runs a statement that returns at most one row.
    pub(super) async fn query_opt(
        &self,
        effect: Effect,
        sql: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Option<Row>, Error> {
        let mut rows = self.query(effect, sql, parameters).await?;
        debug_assert!(rows.len() <= 1, "{sql}");
        Ok(rows.pop())
    }

    /// Runs a statement that always returns one row.
    pub(super) async fn query_one(&self, effect: Effect, sql: &str, parameters: &Parameters<'_>) -> Result<Row, Error> {
        let row = self.query_opt(effect, sql, parameters).await?;
        row.ok_or_else(|| Error::Corrupt { table: "no table", source: "the statement returned no row".into() })
    }

    /// Runs a statement.
    pub(super) async fn query(
        &self,
        effect: Effect,
        sql: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<Row>, Error> {
        self.run(effect, &Statement { sql, parameters }).await
    }

    /// Runs work on a connection that is likely alive.
    pub(super) async fn run<W: Work>(&self, effect: Effect, work: &W) -> Result<W::Output, Error> {
        let stopwatch = Stopwatch::start();
        let outcome = self.run_with_retries(effect, work).await;
        stats::record_database_time(stopwatch.elapsed());
        outcome
    }

    async fn run_with_retries<W: Work>(&self, effect: Effect, work: &W) -> Result<W::Output, Error> {
        let mut conflicts = 0;
        let mut lost_connections = 0;
        loop {
            let stale = self.may_be_stale() && lost_connections == 0;
            let (probe, time_limit) = match effect {
                // A read is its own probe.
                Effect::Read if stale => (false, STALE_TIMEOUT),
                _ => (stale, STATEMENT_TIMEOUT),
            };
            let client = self.connection(probe).await?;
            match attempt(client, work, time_limit).await {
                Attempt::Completed(output) => {
                    self.record_response();
                    return Ok(output);
                }
                Attempt::ConnectionLost(_) if effect == Effect::Read && lost_connections == 0 => lost_connections += 1,
                Attempt::NotExecuted(_) if lost_connections == 0 => lost_connections += 1,
                Attempt::ConnectionLost(source) | Attempt::NotExecuted(source) => {
                    return Err(Error::Unavailable(source));
                }
                Attempt::Rejected(error) if is_conflict(&error) && conflicts + 1 < self.conflict_attempts() => {
                    conflicts += 1;
                    self.back_off(conflicts).await;
                }
                Attempt::Rejected(error) => return Err(rejected(error)),
            }
        }
    }

    fn conflict_attempts(&self) -> usize {
        match self.dialect {
            Dialect::PostgreSql => CONFLICT_ATTEMPTS,
            Dialect::AuroraDsql => CONFLICT_ATTEMPTS_ON_DSQL,
        }
    }

    /// Pauses on DSQL so that concurrent transactions can finish. On PostgreSQL they have: a conflict is reported after them.
    async fn back_off(&self, conflicts: usize) {
        if self.dialect == Dialect::AuroraDsql {
            let doubled = u32::try_from(conflicts).map_or(u32::MAX, |conflicts| 1 << conflicts.min(16));
            let longest = FIRST_PAUSE_ON_DSQL.saturating_mul(doubled / 2).min(LONGEST_PAUSE_ON_DSQL);
            sleep(longest.mul_f64(jitter())).await;
        }
    }

    /// Takes a connection from the pool or opens one; with `probe`, one that has just answered.
    async fn connection(&self, probe: bool) -> Result<Object, Error> {
        // Lets the runtime poll its sockets, so that a connection that the server has closed is known to be closed before it
        // is used. Afterwards it would be unknown whether a statement had run.
        tokio::task::yield_now().await;
        let client = self.pool.get().await.map_err(unavailable)?;
        if !probe {
            return Ok(client);
        }
        if let Ok(Ok(())) = timeout(STALE_TIMEOUT, client.check_connection()).await {
            return Ok(client);
        }
        drop(Object::take(client));
        self.pool.get().await.map_err(unavailable)
    }

    fn record_response(&self) {
        self.answered_at.store(self.now_ms(), Ordering::Relaxed);
    }

    fn may_be_stale(&self) -> bool {
        let idle_ms = self.now_ms().abs_diff(self.answered_at.load(Ordering::Relaxed));
        u128::from(idle_ms) > STALE_AFTER.as_millis()
    }

    fn now_ms(&self) -> u64 {
        let since_epoch = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Checks whether the database answers.
///
/// # Errors
/// It does not answer within two seconds.
pub async fn ping(db: &Database) -> Result<(), Error> {
    match timeout(PING_TIMEOUT, db.query(Effect::Read, "select", &[])).await {
        Ok(answer) => answer.map(|_| ()),
        Err(elapsed) => Err(Error::Unavailable(Box::new(elapsed))),
    }
}

async fn attempt<W: Work>(client: Object, work: &W, time_limit: Duration) -> Attempt<W::Output> {
    let guard = ConnectionGuard(Some(client));
    let span = spans::database(W::NAME, work.text());
    let outcome = timeout(time_limit, work.run(guard.client())).instrument(span.clone()).await;
    match &outcome {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => spans::record_failure(&span, error.code().map(SqlState::code)),
        Err(_) => spans::record_failure(&span, None),
    }
    match outcome {
        Ok(Ok(output)) => {
            guard.complete();
            Attempt::Completed(output)
        }
        Ok(Err(error)) if error.is_closed() || error.as_db_error().is_none() && guard.client().is_closed() => {
            Attempt::ConnectionLost(Box::new(error))
        }
        Ok(Err(error)) if is_shutdown(&error) => Attempt::ConnectionLost(Box::new(error)),
        // A failover made a reader of the server behind this connection. A new connection leads to the new writer.
        Ok(Err(error)) if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => {
            Attempt::NotExecuted(Box::new(error))
        }
        Ok(Err(error)) => {
            guard.complete();
            Attempt::Rejected(error)
        }
        Err(elapsed) => Attempt::ConnectionLost(Box::new(elapsed)),
    }
}

/// A random factor from 0 to 1, so that competing transactions do not retry at the same moment. Without randomness it is 1.
fn jitter() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}

fn unavailable(error: PoolError) -> Error {
    Error::Unavailable(Box::new(error))
}

/// Whether the server is closing the connection because of an administrator, its own stop, or a crash. A statement under
/// way may or may not be done.
fn is_shutdown(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN | &SqlState::IDLE_SESSION_TIMEOUT)
    )
}
