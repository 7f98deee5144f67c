//! The service, brought up part by part.

use std::{
    env, fs,
    net::Ipv4Addr,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use ::tests::{
    Error,
    binaries::{self, Binaries},
    port,
    process::Guard,
    tools::{self, Tools},
    watch::{self, Watch},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{arguments::Options, database::Database, jwt_secret, say};

const DEFAULT_PORT: u16 = 9000;

/// Longer than the guards take, as a rule, to clear up after a `cargo dev` that was killed.
const PORT_PATIENCE: Duration = Duration::from_secs(3);

/// Brings the service up and keeps it until a signal.
pub fn run(Options { fresh, cors }: Options) -> Result<(), Error> {
    let port = chosen_port()?;
    let guard = Guard::this_binary().map_err(|error| Error::start("cargo dev", error))?;
    let folder = guard.target().join("dev");
    fs::create_dir_all(&folder).map_err(|error| Error::file(&folder, error))?;

    let (tools, binaries) = prepare(&guard)?;
    let mut database = Database::open(&tools, &folder.join("postgres"), fresh)?;
    let database_url = database.url();
    say::step("Migrating", "the schema");
    binaries.migrate(&tools, &database_url, database.settings_of_migrate())?;
    let jwt_secret = match env::var("JWT_SECRET") {
        Ok(secret) if !secret.is_empty() => secret,
        _ => {
            let path = folder.join("jwt-secret");
            if fresh {
                jwt_secret::remove(&path)?;
            }
            jwt_secret::load_or_make(&path)?
        }
    };

    say::step("Starting", "cargo lambda watch");
    let mut watch = watch::start(
        &tools,
        watch::Options {
            // Not every interface: what is developed here is nobody else's to see.
            address: Ipv4Addr::LOCALHOST.into(),
            port,
            env: &[("DATABASE_URL", &database_url), ("JWT_SECRET", &jwt_secret)],
            cors,
            output: None,
        },
    )?;
    let stop = stop_signal()?;
    wake(&watch)?;
    say_ready(&watch, &database);
    wait(&stop, &mut watch, &mut database)?;
    say::step("Stopping", "everything");
    Ok(())
}

fn chosen_port() -> Result<u16, Error> {
    let port = match env::var("PORT") {
        Ok(text) => text.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
            Error::new(
                format!("PORT is `{text}`, which is no port."),
                "Set it to a number from 1 to 65535, or unset it for 9000.",
            )
        })?,
        Err(_) => DEFAULT_PORT,
    };
    if port::becomes_free(port, PORT_PATIENCE) {
        return Ok(port);
    }
    Err(Error::new(
        format!("Port {port} is taken by another program."),
        format!("End that program (`lsof -i :{port}` names it), or choose another port: `PORT=9001 cargo dev`."),
    ))
}

/// Installs the tools and builds the functions, side by side: the one waits for the network, the other for the compiler.
fn prepare(guard: &Guard) -> Result<(Tools, Binaries), Error> {
    say::step("Preparing", "the tools (the first time takes two minutes)");
    say::step("Building", "the functions");
    thread::scope(|scope| {
        let tools = scope.spawn(|| tools::prepare(guard));
        let binaries = binaries::build(guard);
        let tools = tools.join().expect("installing the tools does not panic");
        Ok((tools?, binaries?))
    })
}

/// What SIGINT, SIGTERM and SIGHUP send to. Before this they end the process at once, and the guards clear up.
fn stop_signal() -> Result<Receiver<()>, Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| {
        Error::new(format!("Ctrl-C cannot be handled: {error}"), "Start cargo dev from an ordinary shell.")
    })?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for _ in signals.forever() {
            let _ = sender.send(());
        }
    });
    Ok(receiver)
}

/// Starts the functions ahead of their first requests, one by one: together they would be in the way of one that comes now.
fn wake(watch: &Watch) -> Result<(), Error> {
    let wakers: Vec<_> = binaries::endpoints()?.iter().map(|function| watch.waker(function)).collect();
    thread::spawn(|| wakers.into_iter().for_each(|wake| wake()));
    Ok(())
}

fn say_ready(watch: &Watch, database: &Database) {
    let url = watch.base_url();
    say::step("Ready", &format!("{url}, until Ctrl-C. Try:"));
    println!(
        r#"
curl -i {url}/api/register -H 'content-type: application/json' -d '{{"username":"ada","email":"ada@example.com","password":"correct horse battery","full_name":"Ada Lovelace","age":36,"gender":"female"}}'
"#
    );
    if let Database::Embedded(server) = database {
        say::step("Database", &server.url("postgres"));
    }
}

/// Waits for the signal; it is an error that a part ends before it.
fn wait(stop: &Receiver<()>, watch: &mut Watch, database: &mut Database) -> Result<(), Error> {
    loop {
        match stop.recv_timeout(Duration::from_millis(200)) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) if watch.has_ended() => return Err(ended("cargo lambda watch")),
            Err(RecvTimeoutError::Timeout) if database.has_ended() => return Err(ended("PostgreSQL")),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn ended(part: &str) -> Error {
    Error::new(
        format!("{part} ended by itself."),
        "Its last words are above or in target/dev/postgres/log; start `cargo dev` again.",
    )
}
