//! Opens connections with the current credentials, and with TLS unless the server is on this machine.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Error, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::Instrument;

use super::dialect::{DSQL_SCHEMA, Dialect};
use super::{Credentials, tls};
use crate::clock::Stopwatch;
use crate::telemetry::{spans, stats};

/// The kernel would otherwise resend unacknowledged data to a dead peer for 15 minutes.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);

pub(super) struct Connector {
    credentials: Arc<dyn Credentials>,
    tls: Arc<OnceLock<MakeRustlsConnect>>,
}

type Connecting<'a> = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl Connect for Connector {
    /// Ignores the pool's own configuration, which is a placeholder: credentials change while the pool exists.
    fn connect(&self, _: &Config) -> Connecting<'_> {
        Box::pin(async move {
            let stopwatch = Stopwatch::start();
            let span = spans::database(Some("connect"), None);
            let connection = self.connect_with_renewal().instrument(span.clone()).await;
            if let Err(error) = &connection {
                spans::record_failure(&span, error.code().map(SqlState::code));
            }
            stats::record_connect_time(stopwatch.elapsed());
            connection
        })
    }
}

impl Connector {
    pub(super) fn new(credentials: Arc<dyn Credentials>) -> Self {
        Self { credentials, tls: Arc::default() }
    }

    /// Connects; if the server rejects the credentials, once more with newer ones.
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
            open(&config, self.tls.get_or_init(tls::verifying_connector).clone()).await?
        };
        if self.credentials.dialect() == Dialect::AuroraDsql {
            // DSQL has no settings of roles, and whether it accepts a search path at the start is undocumented.
            opened.0.batch_execute(&format!("set search_path = {DSQL_SCHEMA}")).await?;
        }
        Ok(opened)
    }
}

async fn open<T>(config: &Config, tls: T) -> Result<(Client, JoinHandle<()>), Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    let driver = tokio::spawn(async move {
        // A pending statement gets the same error and logs it. Between requests a lost connection needs no attention.
        let _ = connection.await;
    });
    Ok((client, driver))
}

/// Whether all hosts are Unix sockets or loopback addresses, to which other machines cannot listen.
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
