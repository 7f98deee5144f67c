//! A TCP proxy between the service and PostgreSQL that can drop all traffic without closing connections, and that can lead
//! new connections to another server, like the name of a database after a failover.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Forwards connections to a server. Connections that were open at a cut discard all bytes after it.
pub struct Proxy {
    address: SocketAddr,
    target: Arc<AtomicU16>,
    generation: Arc<AtomicU32>,
    attempts: Arc<AtomicU32>,
}

impl Proxy {
    /// Starts a proxy on a free port of this machine. It runs as long as the test's runtime.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the port");
        let generation = Arc::new(AtomicU32::new(0));
        let current = Arc::clone(&generation);
        let target = Arc::new(AtomicU16::new(port));
        let leads_to = Arc::clone(&target);
        let attempts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&attempts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                // A stopped server refuses the connection, which closes that of the client.
                let Ok(server) = TcpStream::connect(("127.0.0.1", leads_to.load(Ordering::SeqCst))).await else {
                    continue;
                };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let born = current.load(Ordering::SeqCst);
                tokio::spawn(forward(from_client, to_server, Arc::clone(&current), born));
                tokio::spawn(forward(from_server, to_client, Arc::clone(&current), born));
            }
        });
        Self { address, target, generation, attempts }
    }

    /// The number of connections so far.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::SeqCst)
    }

    /// Leads new connections to another port. Open connections stay.
    pub fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cuts the open connections: their bytes are discarded, and neither end gets an error.
    pub fn cut(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, current: Arc<AtomicU32>, born: u32) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let cut = current.load(Ordering::SeqCst) != born;
        if !cut && to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    if current.load(Ordering::SeqCst) != born {
        // A return would close the connection.
        std::future::pending::<()>().await;
    }
}
