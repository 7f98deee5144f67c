//! The database of the functions: the caller's, or a PostgreSQL that is started here.

use std::{
    env,
    fs::File,
    net::{TcpStream, ToSocketAddrs},
    path::Path,
    time::Duration,
};

use ::tests::{
    Error,
    binaries::Binaries,
    postgres::{self, Server},
    tools::Tools,
};

const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// The message of `migrate` for a database whose migrations differ from those in `migrations/`.
const OTHER_MIGRATIONS: &str = "is different than filesystem one";

pub enum Database {
    /// The address in `DATABASE_URL`. It is never emptied.
    Given(String),
    Embedded(Server),
}

impl Database {
    /// Describes what [`Self::open`] does.
    pub fn open_label(fresh: bool) -> &'static str {
        match given_url() {
            Some(_) => "Connect to DATABASE_URL",
            None if fresh => "Start PostgreSQL with an empty database",
            None => "Start PostgreSQL",
        }
    }

    /// Checks that a server listens at the address in `DATABASE_URL`, or starts the PostgreSQL in `folder`, which is emptied
    /// first if `fresh`.
    pub fn open(tools: &Tools, folder: &Path, fresh: bool) -> Result<Self, Error> {
        if let Some(url) = given_url() {
            check(&url)?;
            return Ok(Self::Given(url));
        }
        if fresh {
            postgres::remove(folder)?;
        }
        Server::durable(tools, folder, postgres::Options::default()).map(Self::Embedded)
    }

    pub fn url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Embedded(server) => server.url("postgres"),
        }
    }

    /// The address to show. The password of the caller's database is not shown.
    pub fn shown_url(&self) -> String {
        match self {
            Self::Given(url) => without_password(url),
            Self::Embedded(server) => server.url("postgres"),
        }
    }

    pub fn is_given(&self) -> bool {
        matches!(self, Self::Given(_))
    }

    pub fn migrate(&self, binaries: &Binaries, tools: &Tools, output: Option<&File>) -> Result<(), Error> {
        let settings: &[_] = match self {
            // Roles belong to the server, and here the functions sign in as the user in DATABASE_URL.
            Self::Given(_) if env::var_os("DATABASE_ROLES").is_none() => &[("DATABASE_ROLES", "off")],
            _ => &[],
        };
        binaries.migrate_into(tools, &self.url(), settings, output)
    }

    /// Replaces the advice of a failed migration by one that fits the database.
    pub fn explain(&self, error: Error) -> Error {
        let has_other_migrations = error.output().is_some_and(|output| output.contains(OTHER_MIGRATIONS));
        error.with_advice(match (self, has_other_migrations) {
            (Self::Embedded(_), true) => {
                "The database in target/dev/postgres was created by other migrations than those in migrations/. \
                 `cargo dev --fresh` deletes its data and starts with an empty database."
            }
            (Self::Embedded(_), false) => {
                "Correct what the output names. If the data of the database is the cause, `cargo dev --fresh` deletes it and \
                 starts with an empty database."
            }
            (Self::Given(_), true) => {
                "The database in DATABASE_URL was created by other migrations than those in migrations/. Set DATABASE_URL \
                 to an empty database, or unset it: `cargo dev` then starts a PostgreSQL itself."
            }
            (Self::Given(_), false) => {
                "Correct DATABASE_URL, or unset it: `cargo dev` then starts a PostgreSQL itself."
            }
        })
    }

    /// Whether the PostgreSQL that was started here ended without being stopped.
    pub fn has_ended(&mut self) -> bool {
        match self {
            Self::Given(_) => false,
            Self::Embedded(server) => server.has_ended(),
        }
    }
}

fn given_url() -> Option<String> {
    env::var("DATABASE_URL").ok().filter(|url| !url.is_empty())
}

/// Detects a malformed address and an unreachable server before the functions are built. `migrate` reports everything else
/// that can be wrong, such as the password.
fn check(url: &str) -> Result<(), Error> {
    if !is_address(url) {
        return Err(Error::new(
            "DATABASE_URL is not a database address such as postgres://user:password@host:5432/name.",
            "Correct it, or unset it: `cargo dev` then starts a PostgreSQL itself.",
        ));
    }
    let Some((host, port)) = host_and_port(url) else {
        return Ok(());
    };
    connect(host, port).map_err(|error| {
        Error::new(
            format!("No PostgreSQL is reachable at {host}:{port}, the address in DATABASE_URL: {error}"),
            "Start that server, correct the address, or unset DATABASE_URL: `cargo dev` then starts a PostgreSQL itself.",
        )
    })
}

/// Whether this is a URL or the form `host=… dbname=…`.
fn is_address(url: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) || url.contains('=')
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

/// Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. Returns `None` for other forms of an address.
fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (_scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let address = authority.rsplit('@').next()?;
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (address, 5432),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some((host, port))
}

/// The scheme and what follows the user and the password, or no part of an address in another form.
fn without_password(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
            let address = address.split('?').next().unwrap_or_default();
            format!("{scheme}://{address} (from DATABASE_URL)")
        }
        None => "from DATABASE_URL".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{host_and_port, is_address, without_password};

    #[test]
    fn host_and_port_are_read_from_a_url() {
        for (url, address) in [
            ("postgres://user:pass@db.example:6543/app", Some(("db.example", 6543))),
            ("postgresql://db.example/app?sslmode=require", Some(("db.example", 5432))),
            ("postgres://user:p@ss@[::1]:6543/app", Some(("::1", 6543))),
            ("postgres://[::1]/app", Some(("::1", 5432))),
            ("postgres:///app?host=/run/postgresql", None),
            ("host=/run/postgresql dbname=app", None),
        ] {
            assert_eq!(host_and_port(url), address, "{url}");
        }
    }

    #[test]
    fn an_address_is_a_url_or_a_list_of_parameters() {
        assert!(is_address("postgresql:///app") && is_address("host=/run/postgresql dbname=app"));
        assert!(!is_address("localhost") && !is_address("mysql://localhost/app"));
    }

    #[test]
    fn the_password_of_a_given_url_is_not_shown() {
        let shown = without_password("postgres://user:p@ss@db.example:6543/app?password=secret");
        assert_eq!(shown, "postgres://db.example:6543/app (from DATABASE_URL)");
        assert_eq!(without_password("host=db password=secret"), "from DATABASE_URL");
    }
}
