//! The connection pool: runs statements on connections that are likely alive, and retries after lost connections and
//! conflicts.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use futures_util::future::BoxFuture;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, Row};
use tracing::Instrument;

use super::connector::{Connector, cancel};
use super::statement::{Connection, Preparation, PreparationState, Statement, Work, is_outdated, is_unknown};
use super::tls::Tls;
use super::{Credentials, Dialect, Effect, Error, Parameters, column, is_conflict, rejected};
use crate::clock::{Clock, Stopwatch};
use crate::env::{self, EnvError};
use crate::report::{self, BoxError};
use crate::telemetry::{spans, stats};

/// Maximum time to open a connection, TLS and sign-in included, unless `DATABASE_CONNECT_SECONDS` sets another one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Maximum time for a statement or a transaction, waiting for locks included.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time to cancel a statement that took too long.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);
/// Idle time after which a connection may be stale: a frozen environment does not notice that its socket dies. A write then costs
/// one more round trip, a probe.
const STALE_AFTER: Duration = Duration::from_secs(10);
/// The same for a read, which is repeated instead of probed. Without an idle time, a server that is slow under load would get each
/// read twice.
const STALE_AFTER_FOR_READS: Duration = Duration::from_secs(1);
/// Maximum time for the first response on a connection that may be stale.
const STALE_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum time for the response to a readiness check.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of attempts if concurrent transactions cause a rollback (serialization failure, deadlock, or
/// an insertion of the same key).
const CONFLICT_ATTEMPTS: usize = 5;
/// The same on DSQL, which rolls back in cases where PostgreSQL waits.
const CONFLICT_ATTEMPTS_ON_DSQL: usize = 12;
/// Maximum length of the first pause between attempts on DSQL. It doubles with each further pause.
const FIRST_PAUSE_ON_DSQL: Duration = Duration::from_millis(8);
/// Maximum length of any pause on DSQL.
const LONGEST_PAUSE_ON_DSQL: Duration = Duration::from_millis(256);

/// The settings of the pool.
#[derive(Clone)]
pub struct PoolSettings {
    /// Number of connections: the number of requests that the process serves at a time.
    pub connections: usize,
    /// Whether statements are prepared.
    pub preparation: Preparation,
    /// The roots that certificates of servers are verified by.
    pub tls: Arc<Tls>,
    /// Maximum time to open a connection.
    pub connect_timeout: Duration,
}

impl PoolSettings {
    /// Reads the settings from the environment. `connections` is the number of requests that the process serves at a time.
    ///
    /// # Errors
    /// A variable has an invalid value.
    pub fn from_env(connections: usize) -> Result<Self, EnvError> {
        Ok(Self {
            connections,
            preparation: Preparation::from_env()?,
            tls: Arc::new(Tls::from_env()?),
            // API Gateway waits 30 s.
            connect_timeout: Duration::from_secs(env::integer(
                "DATABASE_CONNECT_SECONDS",
                1,
                20,
                CONNECT_TIMEOUT.as_secs(),
            )?),
        })
    }
}

impl Default for PoolSettings {
    /// One connection.
    fn default() -> Self {
        let (preparation, tls) = (Preparation::Auto, Arc::default());
        Self { connections: 1, preparation, tls, connect_timeout: CONNECT_TIMEOUT }
    }
}

/// A pool of connections to one database, one for each concurrent request of the process.
pub struct Database {
    pool: Pool,
    dialect: Dialect,
    clock: Arc<dyn Clock>,
    tls: Arc<Tls>,
    preparation: Arc<PreparationState>,
    /// Time of the last response in milliseconds since 1970. A monotonic clock would not advance while Lambda freezes
    /// the environment.
    last_response_at: AtomicU64,
}

/// Discards the connection on drop unless [`ConnectionGuard::complete`] returned it to the pool: after a cancelled or
/// failed statement its state is unknown.
struct ConnectionGuard(Option<Object>);

impl ConnectionGuard {
    fn client(&self) -> &Object {
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
    /// The connection was lost. The work may or may not have been executed.
    ConnectionLost(BoxError),
    /// The connection leads to a read-only server. The work was not executed.
    NotExecuted(BoxError),
    /// The server rejected a statement. The connection is usable.
    Rejected(tokio_postgres::Error),
    /// A prepared statement could not be executed. The connection is discarded, and with it all prepared statements.
    StatementLost(tokio_postgres::Error),
}

impl Database {
    pub(crate) fn new(credentials: Arc<dyn Credentials>, clock: Arc<dyn Clock>, settings: PoolSettings) -> Self {
        let PoolSettings { connections, preparation, tls, connect_timeout } = settings;
        let dialect = credentials.dialect();
        let preparation = Arc::new(PreparationState::new(preparation, dialect));
        let manager = Manager::from_connect(
            Config::new(),
            Connector::new(credentials, Arc::clone(&tls), Arc::clone(&preparation), connect_timeout > CONNECT_TIMEOUT),
            // `Clean` would send `discard all`, on which RDS Proxy pins the connection.
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(connect_timeout))
            .wait_timeout(Some(STATEMENT_TIMEOUT))
            .build();
        // The builder fails only for timeouts without a runtime.
        let pool = pool.unwrap_or_else(|error| unreachable!("{error}"));
        Self { pool, dialect, clock, tls, preparation, last_response_at: AtomicU64::new(0) }
    }

    /// Returns the kind of server.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Opens a connection before the first request. A failure is only logged, because the first request tries again. It does not
    /// wait for a database that resumes: Lambda repeats a start that takes 10 s.
    pub(crate) async fn warm_up(&self) {
        let failure = match timeout(CONNECT_TIMEOUT, self.pool.get()).await {
            Ok(Ok(_)) => return self.record_response(),
            Ok(Err(error)) => report::chain(&error),
            Err(elapsed) => report::chain(&elapsed),
        };
        tracing::warn!("the database could not be reached at the start: {failure}");
    }

    /// Returns the maximum time to open a connection.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.pool.timeouts().create.unwrap_or(CONNECT_TIMEOUT)
    }

    /// Takes a connection that does not return to the pool.
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

    /// Runs a statement and returns its rows.
    ///
    /// The future is boxed, so that this crate compiles it with the pool and the driver, and not each function.
    pub(super) fn query<'a>(
        &'a self,
        effect: Effect,
        sql: &'a str,
        parameters: &'a Parameters<'a>,
    ) -> BoxFuture<'a, Result<Vec<Row>, Error>> {
        Box::pin(async move { self.run(effect, &Statement { sql, parameters }).await })
    }

    /// Runs work and records its time.
    pub(super) async fn run<W: Work>(&self, effect: Effect, work: &W) -> Result<W::Output, Error> {
        let stopwatch = Stopwatch::start();
        let outcome = self.run_with_retries(effect, work).await;
        stats::record_database_time(stopwatch.elapsed());
        outcome
    }

    async fn run_with_retries<W: Work>(&self, effect: Effect, work: &W) -> Result<W::Output, Error> {
        let mut conflicts = 0;
        let mut lost_connections = 0;
        let mut lost_statements = 0;
        loop {
            let may_be_stale = |after| lost_connections == 0 && self.idle_time() > after;
            let (probe, time_limit) = match effect {
                // Repeating a read is harmless, so it needs no probe.
                Effect::Read if may_be_stale(STALE_AFTER_FOR_READS) => (false, STALE_TIMEOUT),
                Effect::Read => (false, STATEMENT_TIMEOUT),
                Effect::Write => (may_be_stale(STALE_AFTER), STATEMENT_TIMEOUT),
            };
            let client = self.connection(probe).await?;
            match self.attempt(client, work, effect, time_limit).await {
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
                Attempt::StatementLost(error) if lost_statements == 0 => {
                    lost_statements += 1;
                    if is_unknown(&error) {
                        tracing::warn!(
                            "a connection pooler lost a prepared statement, so statements are not prepared any more: set \
                             DATABASE_PREPARE=off"
                        );
                        self.preparation.turn_off();
                    }
                }
                Attempt::StatementLost(error) | Attempt::Rejected(error) => return Err(rejected(error)),
            }
        }
    }

    /// Runs work once, returns the connection to the pool if it is usable, and classifies the outcome.
    async fn attempt<W: Work>(
        &self,
        client: Object,
        work: &W,
        effect: Effect,
        time_limit: Duration,
    ) -> Attempt<W::Output> {
        let guard = ConnectionGuard(Some(client));
        let span = spans::database(W::NAME, work.text());
        let connection = Connection { client: guard.client(), preparation: &self.preparation };
        let (outcome, cancelled) = self.run_within(time_limit, &connection, work).instrument(span.clone()).await;
        match &outcome {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => spans::record_failure(&span, error.code().map(SqlState::code)),
            Err(_) => spans::record_failure(&span, None),
        }
        match outcome {
            // The response may contain the news that the server has become read-only, and then rows that are outdated.
            Ok(Ok(_)) if effect == Effect::Read && guard.client().is_closed() => {
                Attempt::ConnectionLost("the server closed the connection or became read-only".into())
            }
            // A cancel request could arrive late and then cancel the next statement, so its connection is discarded.
            Ok(Ok(output)) if cancelled => Attempt::Completed(output),
            Ok(Err(error)) if cancelled => Attempt::Rejected(error),
            Ok(Ok(output)) => {
                guard.complete();
                Attempt::Completed(output)
            }
            Ok(Err(error)) if error.is_closed() || error.as_db_error().is_none() && guard.client().is_closed() => {
                Attempt::ConnectionLost(Box::new(error))
            }
            Ok(Err(error)) if is_shutdown(&error) => Attempt::ConnectionLost(Box::new(error)),
            // After a failover, this connection leads to a server that has become a reader. A new one leads to the new
            // writer.
            Ok(Err(error)) if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => {
                Attempt::NotExecuted(Box::new(error))
            }
            Ok(Err(error)) if is_unknown(&error) || is_outdated(&error) => Attempt::StatementLost(error),
            Ok(Err(error)) => {
                guard.complete();
                Attempt::Rejected(error)
            }
            Err(elapsed) => Attempt::ConnectionLost(Box::new(elapsed)),
        }
    }

    /// Runs work and returns its outcome, and whether it was cancelled because it took too long. Most cancelled work was not
    /// executed, and then its outcome is the server's error. Without the cancel request the server would continue although
    /// the caller was told that the work failed.
    async fn run_within<W: Work>(
        &self,
        time_limit: Duration,
        connection: &Connection<'_>,
        work: &W,
    ) -> (Result<Result<W::Output, tokio_postgres::Error>, Elapsed>, bool) {
        let mut running = pin!(work.run(connection));
        let outcome = timeout(time_limit, running.as_mut()).await;
        // A shorter limit is for connections that may be dead.
        if outcome.is_ok() || time_limit < STATEMENT_TIMEOUT {
            return (outcome, false);
        }
        let cancelling = async {
            if let Err(error) = cancel(connection.client, &self.tls).await {
                tracing::warn!("a statement that took too long could not be cancelled: {}", report::chain(&error));
            }
            running.await
        };
        (timeout(CANCEL_TIMEOUT, cancelling).await, true)
    }

    fn conflict_attempts(&self) -> usize {
        match self.dialect {
            Dialect::PostgreSql => CONFLICT_ATTEMPTS,
            Dialect::AuroraDsql => CONFLICT_ATTEMPTS_ON_DSQL,
        }
    }

    /// Pauses on DSQL so that concurrent transactions can finish. PostgreSQL reports a conflict only after they have
    /// finished.
    async fn back_off(&self, conflicts: usize) {
        if self.dialect == Dialect::AuroraDsql {
            let doubled = u32::try_from(conflicts).map_or(u32::MAX, |conflicts| 1 << conflicts.min(16));
            let longest = FIRST_PAUSE_ON_DSQL.saturating_mul(doubled / 2).min(LONGEST_PAUSE_ON_DSQL);
            sleep(longest.mul_f64(jitter())).await;
        }
    }

    /// Takes a connection from the pool, or opens one. With `probe`, it replaces a connection that does not respond.
    async fn connection(&self, probe: bool) -> Result<Object, Error> {
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
        self.last_response_at.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Returns the time since the last response.
    fn idle_time(&self) -> Duration {
        Duration::from_millis(self.now_ms().abs_diff(self.last_response_at.load(Ordering::Relaxed)))
    }

    fn now_ms(&self) -> u64 {
        let since_epoch = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Returns the encoding of the database.
pub(super) const ENCODING: &str = "select current_setting('server_encoding') as encoding";
/// The only encoding that has all characters that clients may send.
pub(super) const UTF8: &str = "UTF8";

/// Checks that the database answers and stores all characters.
///
/// # Errors
/// It does not answer within two seconds, or its encoding is not UTF-8.
pub async fn ping(db: &Database) -> Result<(), Error> {
    let row = match timeout(PING_TIMEOUT, db.query_one(Effect::Read, ENCODING, &[])).await {
        Ok(row) => row?,
        Err(elapsed) => return Err(Error::Unavailable(Box::new(elapsed))),
    };
    match column::<String>(&row, "no table", "encoding")?.as_str() {
        UTF8 => Ok(()),
        encoding => Err(Error::Unavailable(format!("the database has the encoding {encoding} and not {UTF8}").into())),
    }
}

/// Returns a random factor from 0 to 1, so that competing transactions do not retry at the same moment; 1 if the system
/// has no randomness.
fn jitter() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}

fn unavailable(error: PoolError) -> Error {
    Error::Unavailable(Box::new(error))
}

/// Whether the server closes the connection: by an administrator, a shutdown, a crash, or an idle timeout. The current
/// statement may or may not have been executed.
fn is_shutdown(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN | &SqlState::IDLE_SESSION_TIMEOUT)
    )
}
