//! Free and used ports of this machine.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::{Error, process::Running};

/// Returns a port that is free now. Another process may take it before the caller does.
pub fn free() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| {
            Error::new(format!("127.0.0.1 has no free port: {error}"), "Check the loopback interface of this machine.")
        })
}

/// Waits until the port is free on all addresses of `localhost`. Returns false after `patience`.
pub fn becomes_free(port: u16, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if !is_used(port) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn is_used(port: u16) -> bool {
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    addresses.into_iter().any(|address| {
        matches!(
            TcpListener::bind((address, port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse
        )
    })
}

/// Waits until `child` listens on the port. Returns false if it ends before, or after `patience`.
pub fn opens(port: u16, child: &mut Running, patience: Duration) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline && !child.has_ended() {
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}
