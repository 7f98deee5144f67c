//! API Gateway and Lambda on this machine, as `template.yaml` has them: its routes, and its functions, each with no more
//! variables than it is given there, under the Lambda emulator, on a PostgreSQL that is thrown away.
//!
//! `cargo run -p tests --example gateway -- COMMAND ARGUMENT…` runs a command with the service's address in `API`, and ends
//! with it.

#![expect(unreachable_pub, reason = "a program has no users; `pub` items are for its other modules")]

mod environments;
mod exchange;
#[path = "../it/support/gateway.rs"]
mod request;
mod template;

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::thread;

use ::tests::postgres::{self, Server};
use ::tests::process::{Guard, guard};
use ::tests::{Error, binaries, tools};

use environments::Environments;
use exchange::Gateway;
use template::Template;

/// Requests that are served at a time.
const THREADS: usize = 8;

/// For the functions, where the template leaves them empty as it does for `sam local`. The secret is nobody's; a low cost
/// is what a client that signs in a thousand times wants.
const JWT_SECRET: &str = "0b5b3b0c6e0f4d1f9a7c2e8d6b4a1c3e5f7091b3d5f7a9c1e3f507192b3d4f60";
const BCRYPT_COST: &str = "10";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == guard::SUBCOMMAND).is_some() {
        return guard::run(arguments);
    }
    match run(arguments.collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Vec<OsString>) -> Result<ExitCode, Error> {
    let [program, arguments @ ..] = command.as_slice() else {
        return Err(Error::new(
            "There is no command to run.",
            "cargo run -p tests --example gateway -- COMMAND ARGUMENT…",
        ));
    };
    let template = Template::read()?;
    let guard = Guard::this_binary().map_err(|error| Error::start("the gateway", error))?;
    let tools = tools::prepare(&guard)?;
    let binaries = binaries::build(&guard)?;
    let server = Server::throw_away(&tools, postgres::Options::default())?;
    let database_url = server.url("postgres");
    binaries.migrate(&tools, &database_url, &[])?;

    let log_path = guard.target().join("gateway.log");
    let log = File::create(&log_path).map_err(|error| Error::file(&log_path, error))?;
    let stand_ins = vec![
        ("DATABASE_URL".to_owned(), database_url),
        ("JWT_SECRET".to_owned(), JWT_SECRET.to_owned()),
        ("BCRYPT_COST".to_owned(), BCRYPT_COST.to_owned()),
    ];
    let environments = Environments::new(tools.clone(), binaries, log, stand_ins);
    let gateway = Arc::new(Gateway::listen(template, environments)?);
    for _ in 0..THREADS {
        let gateway = Arc::clone(&gateway);
        thread::spawn(move || gateway.serve());
    }
    let status = Command::new(program)
        .args(arguments)
        .env("API", gateway.base_url())
        .env("PATH", tools.search_path())
        .status()
        .map_err(|error| Error::start(&program.to_string_lossy(), error))?;
    gateway.close();
    if !status.success() {
        eprintln!("What the functions logged is in {}.", log_path.display());
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
