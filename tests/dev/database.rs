//! The database that the functions use: the caller's, or one started here.

use std::{
    env,
    net::{TcpStream, ToSocketAddrs},
    path::Path,
    time::Duration,
};

use ::tests::{
    Error,
    postgres::{self, Server},
    tools::Tools,
};

use crate::say;

const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

pub enum Database {
    /// `DATABASE_URL`, which is used and never cleared.
    Callers(String),
    Embedded(Server),
}

impl Database {
    /// The caller's database after a check that it is there, or the one in `folder`, started.
    pub fn open(tools: &Tools, folder: &Path, fresh: bool) -> Result<Self, Error> {
        if let Some(url) = callers_url() {
            say::step("Using", "the database that DATABASE_URL names");
            if fresh {
                say::more("--fresh leaves it as it is: empty it yourself if you want to");
            }
            check(&url)?;
            return Ok(Self::Callers(url));
        }
        if fresh {
            say::step("Removing", "the database of the last time");
            postgres::remove(folder)?;
        }
        say::step("Starting", "PostgreSQL");
        Server::durable(tools, folder, postgres::Options::default()).map(Self::Embedded)
    }

    pub fn url(&self) -> String {
        match self {
            Self::Callers(url) => url.clone(),
            Self::Embedded(server) => server.url("postgres"),
        }
    }

    /// What `migrate` is told of it.
    pub fn settings_of_migrate(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            // Roles are the server's, and the functions sign in as the caller here.
            Self::Callers(_) if env::var_os("DATABASE_ROLES").is_none() => &[("DATABASE_ROLES", "off")],
            _ => &[],
        }
    }

    /// Whether the database that was started here ended by itself.
    pub fn has_ended(&mut self) -> bool {
        match self {
            Self::Callers(_) => false,
            Self::Embedded(server) => server.has_ended(),
        }
    }
}

fn callers_url() -> Option<String> {
    env::var("DATABASE_URL").ok().filter(|url| !url.is_empty())
}

/// Finds a server that is not there before the functions do. What else can be wrong with an address, such as the
/// password, the migration tells.
fn check(url: &str) -> Result<(), Error> {
    let Some((host, port)) = host_and_port(url) else {
        return Ok(());
    };
    connect(host, port).map_err(|error| {
        Error::new(
            format!("DATABASE_URL names {host}:{port}, where no PostgreSQL can be reached: {error}"),
            "Start that server or correct the address; without DATABASE_URL `cargo dev` starts a PostgreSQL itself.",
        )
    })
}

fn connect(host: &str, port: u16) -> std::io::Result<()> {
    let mut result = Err(std::io::ErrorKind::NotFound.into());
    for address in (host, port).to_socket_addrs()? {
        result = TcpStream::connect_timeout(&address, CONNECT_PATIENCE).map(drop);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// From `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; `None` for the other ways to write an address.
fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (_scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let place = authority.rsplit('@').next()?;
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (place, 5432),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn the_place_is_read_from_a_url() {
        for (url, place) in [
            ("postgres://user:pass@db.example:6543/app", Some(("db.example", 6543))),
            ("postgresql://db.example/app?sslmode=require", Some(("db.example", 5432))),
            ("postgres://user:p@ss@[::1]:6543/app", Some(("::1", 6543))),
            ("postgres://[::1]/app", Some(("::1", 5432))),
            ("postgres:///app?host=/run/postgresql", None),
            ("host=/run/postgresql dbname=app", None),
        ] {
            assert_eq!(host_and_port(url), place, "{url}");
        }
    }
}
