//! Opens connections with the current credentials, to the writer only. They use TLS unless the server is on this machine or
//! the settings say `sslmode=disable`.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, NoTls, Socket};
use tracing::Instrument;

use super::Credentials;
use super::dialect::{DSQL_SCHEMA, Dialect};
use super::statement::PreparationState;
use super::tls::Tls;
use crate::clock::Stopwatch;
use crate::report;
use crate::telemetry::{spans, stats};

/// Maximum time for the peer to acknowledge data. A busy server acknowledges a statement at once, so this notices a dead path long
/// before the limit of the statement. The kernel's default is some 15 minutes.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause before another attempt to reach a database that may be resuming.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// Idle time before the first TCP keepalive.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
/// The log message for a server that is not the writer.
const READ_ONLY: &str = "the database server is a replica or read-only, so the connection was closed: DATABASE_HOST must lead to the writer";

/// The connector of the pool.
pub(super) struct Connector {
    credentials: Arc<dyn Credentials>,
    tls: Arc<Tls>,
    preparation: Arc<PreparationState>,
    /// Whether to try again until the pool's time limit: the database may be resuming from a pause.
    waits: bool,
}

type Connecting<'a> = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl Connect for Connector {
    /// Ignores the pool's own configuration, which is a placeholder, because credentials change during the life of the
    /// pool.
    fn connect(&self, _: &Config) -> Connecting<'_> {
        Box::pin(async move {
            let stopwatch = Stopwatch::start();
            let span = spans::database(Some("connect"), None);
            let connection = self.connect_patiently().instrument(span.clone()).await;
            if let Err(error) = &connection {
                spans::record_failure(&span, error.code().map(SqlState::code));
            }
            stats::record_connect_time(stopwatch.elapsed());
            connection
        })
    }
}

impl Connector {
    pub(super) fn new(
        credentials: Arc<dyn Credentials>,
        tls: Arc<Tls>,
        preparation: Arc<PreparationState>,
        waits: bool,
    ) -> Self {
        Self { credentials, tls, preparation, waits }
    }

    /// Connects. If this connector waits, repeats attempts that fail because the server does not answer or says that it is starting.
    async fn connect_patiently(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let mut failed = false;
        loop {
            let error = match self.connect_with_renewal().await {
                Err(error) if self.waits && error.code().is_none_or(|code| *code == SqlState::CANNOT_CONNECT_NOW) => {
                    error
                }
                outcome => return outcome,
            };
            // The error of the time limit, at which the pool drops this future, does not tell the cause.
            if !failed {
                tracing::warn!("the database does not accept connections yet: {}", report::chain(&error));
            }
            failed = true;
            sleep(RETRY_AFTER).await;
        }
    }

    /// Connects. If the server rejects the credentials, tries once more with newer ones.
    async fn connect_with_renewal(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let config = self.credentials.current();
        match self.connect_with(&config).await {
            Err(error) if is_bad_credentials(&error) => {
                self.credentials.renew().await;
                let newer = self.credentials.current();
                if *newer == *config { Err(error) } else { self.connect_with(&newer).await }
            }
            outcome => outcome,
        }
    }

    async fn connect_with(&self, config: &Config) -> Result<(Client, JoinHandle<()>), Error> {
        let mut config = config.clone();
        config.application_name("keyhold").tcp_user_timeout(UNACKNOWLEDGED_TIMEOUT).keepalives_idle(KEEPALIVE_IDLE);
        let local = is_local(&config) && config.get_ssl_mode() == SslMode::Prefer;
        let opened = if config.get_ssl_mode() == SslMode::Disable || local {
            config.ssl_mode(SslMode::Disable);
            open(&config, NoTls).await?
        } else {
            config.ssl_mode(SslMode::Require);
            open(&config, self.tls.connector()).await?
        };
        if self.credentials.dialect() == Dialect::AuroraDsql {
            // DSQL has no role settings, and it is undocumented whether it accepts a search path in the startup
            // message.
            opened.0.batch_execute(&format!("set search_path = {DSQL_SCHEMA}")).await?;
        }
        self.preparation.record_connection();
        Ok(opened)
    }
}

async fn open<T>(config: &Config, tls: T) -> Result<(Client, JoinHandle<()>), Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    let is_read_only = is_read_only(&connection);
    let driver = tokio::spawn(drive(connection));
    if is_read_only {
        // Returns the error of a closed connection, which `drive` makes it.
        client.check_connection().await?;
    }
    Ok((client, driver))
}

/// Exchanges the messages of a connection until it ends, or until the server reports that it has become read-only. The
/// connection is then closed, and its client reports that it is.
async fn drive<S, T>(mut connection: Connection<S, T>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|context| {
        loop {
            let message = connection.poll_message(context);
            if is_read_only(&connection) {
                tracing::warn!("{READ_ONLY}");
                return Poll::Ready(());
            }
            match message {
                Poll::Ready(Some(Ok(_))) => {}
                // An error is not logged here: a pending statement reports it too, and between requests it has no
                // consequence.
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await;
}

/// Asks the server to cancel the statement that runs on a connection. The request takes a connection of its own.
///
/// The future fails if the server cannot be reached. It is boxed, because the compiler fails if futures are nested too deeply.
pub(super) fn cancel<'a>(
    client: &Client,
    tls: &'a Tls,
) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>> {
    let token = client.cancel_token();
    Box::pin(async move {
        match tls.used_connector() {
            Some(tls) => token.cancel_query(tls).await,
            None => token.cancel_query(NoTls).await,
        }
    })
}

/// Whether the server is a replica, or accepts no writes. After a failover, the former writer is one of these, and its rows
/// are outdated. PostgreSQL 14 and later reports both settings at the start of a connection and after each change
/// (<https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC>).
fn is_read_only<S, T>(connection: &Connection<S, T>) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    ["in_hot_standby", "default_transaction_read_only"].iter().any(|name| connection.parameter(name) == Some("on"))
}

/// Whether all hosts are Unix sockets or loopback addresses, on which no other machine can listen.
fn is_local(config: &Config) -> bool {
    let is_loopback = |name: &str| name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => is_loopback(name),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

fn is_bad_credentials(error: &Error) -> bool {
    matches!(error.code(), Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION))
}
