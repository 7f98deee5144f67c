//! The service over HTTP: `cargo lambda watch`, as `cargo dev` runs it.

use std::net::{IpAddr, Ipv4Addr};

use tests::watch::{self, Options, Watch};
use tests::{Error, port};

use super::{Database, SECRET, binaries, database, silence, tools};

/// The running service. Dropping it stops it.
pub struct Served {
    // Before the database, so that the functions stop first.
    watch: Watch,
    _database: Database,
}

impl Served {
    /// `http://localhost:PORT`, without a trailing slash.
    pub fn base_url(&self) -> String {
        self.watch.base_url()
    }
}

/// Starts the service on an empty database. With `cors`, browsers may call it from all origins.
pub fn served(cors: bool) -> Result<Served, Error> {
    binaries();
    let database = database();
    let environment = [("DATABASE_URL", database.url()), ("JWT_SECRET", SECRET), ("BCRYPT_COST", "10")];
    let options = Options {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: port::free()?,
        env: &environment,
        cors,
        output: Some(&silence()),
    };
    Ok(Served { watch: watch::start(tools(), options)?, _database: database })
}
