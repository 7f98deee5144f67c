//! Opening connections: with the credentials of the moment, and with TLS unless the server is on this machine.

use std::future::Future;
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

use super::server::{DSQL_SCHEMA, Server};
use super::tls;
use crate::clock::Stopwatch;
use crate::request_log;
use crate::secrets::{Keys, Secrets};
use crate::traces;

pub(super) struct Connector<K> {
    secrets: Arc<Secrets<K>>,
    tls: Arc<OnceLock<MakeRustlsConnect>>,
}

impl<K: Keys> Connector<K> {
    pub(super) fn new(secrets: Arc<Secrets<K>>) -> Self {
        Self { secrets, tls: Arc::default() }
    }
}

type Connecting<'a> = Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'a>>;

impl<K: Keys> Connect for Connector<K> {
    /// The pool's own configuration is a placeholder: credentials change while the pool lives.
    fn connect(&self, _: &Config) -> Connecting<'_> {
        Box::pin(async move {
            let stopwatch = Stopwatch::start();
            let config = self.secrets.database();
            let connecting = async {
                match self.connect_with(&config).await {
                    Err(error) if is_bad_credentials(&error) => {
                        self.secrets.refresh_if_possible().await;
                        let newer = self.secrets.database();
                        if *newer == *config { Err(error) } else { self.connect_with(&newer).await }
                    }
                    outcome => outcome,
                }
            };
            let span = traces::database(Some("connect"), None);
            let connection = connecting.instrument(span.clone()).await;
            if let Err(error) = &connection {
                traces::unanswered(&span, error.code());
            }
            request_log::note_connecting(stopwatch.elapsed());
            connection
        })
    }
}

impl<K: Keys> Connector<K> {
    async fn connect_with(&self, config: &Config) -> Result<(Client, JoinHandle<()>), Error> {
        let mut config = config.clone();
        config.application_name("keyhold");
        // Data that stays unacknowledged this long means a dead peer, which the kernel would otherwise try for 15 minutes.
        config.tcp_user_timeout(Duration::from_secs(10));
        config.keepalives_idle(Duration::from_secs(60));
        let local = is_local(&config) && config.get_ssl_mode() == SslMode::Prefer;
        let opened = if config.get_ssl_mode() == SslMode::Disable || local {
            config.ssl_mode(SslMode::Disable);
            open(&config, NoTls).await?
        } else {
            config.ssl_mode(SslMode::Require);
            open(&config, self.tls.get_or_init(tls::verifying_connector).clone()).await?
        };
        if self.secrets.server() == Server::AuroraDsql {
            // By a statement: DSQL has no settings of roles, and does not say whether it takes them at the start.
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
        // Whoever waits for an answer gets the error too and logs it with the request; a socket that dies between requests
        // is nobody's concern.
        let _ = connection.await;
    });
    Ok((client, driver))
}

/// Sockets and loopback addresses, which nobody else can listen to.
fn is_local(config: &Config) -> bool {
    let loopback =
        |name: &str| name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => loopback(name),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }) && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

fn is_bad_credentials(error: &Error) -> bool {
    matches!(error.code(), Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION))
}
