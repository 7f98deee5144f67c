//! An HTTP server on a free port of this machine, for tests that imitate a service.
//!
//! `tests/gateway` includes this file by its path, because an example cannot import from a test.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tiny_http::{Request, Server};

/// A running server. Dropping it waits for the requests in progress and stops it.
pub struct HttpServer {
    server: Arc<Server>,
    threads: Vec<JoinHandle<()>>,
}

impl HttpServer {
    /// Starts a server whose threads call `serve` with each request. A request that `serve` drops is answered with 500.
    pub fn start(threads: usize, serve: impl Fn(Request) + Send + Sync + 'static) -> io::Result<Self> {
        let server = Arc::new(Server::http((Ipv4Addr::LOCALHOST, 0)).map_err(io::Error::other)?);
        let serve = Arc::new(serve);
        let run = |_| {
            let (server, serve) = (Arc::clone(&server), Arc::clone(&serve));
            thread::spawn(move || server.incoming_requests().for_each(|request| serve(request)))
        };
        let threads = (0..threads).map(run).collect();
        Ok(Self { server, threads })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.server_addr().to_ip().expect("the server listens on an IP address").port()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Each call ends one thread.
        self.threads.iter().for_each(|_| self.server.unblock());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
