//! Free and taken ports of this machine.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::{Error, process::Running};

/// A port nobody listens on now; another process may still take it before it is used.
pub fn free() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| {
            Error::new(
                format!("No port of 127.0.0.1 is free: {error}"),
                "Check that this machine has a loopback interface.",
            )
        })
}

/// Whether the port is free on every address of `localhost`, now or within `patience`.
pub fn becomes_free(port: u16, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if !is_taken(port) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn is_taken(port: u16) -> bool {
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    addresses.into_iter().any(|address| {
        matches!(
            TcpListener::bind((address, port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse
        )
    })
}

/// Waits until `child` listens on the port; false where it ends or `patience` runs out first.
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
