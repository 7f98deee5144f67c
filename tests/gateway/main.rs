//! API Gateway and Lambda on this machine. The routes are those of `template.yaml`. Each function runs under the Lambda
//! emulator with the variables that the template gives it, on a temporary PostgreSQL.
//!
//! `cargo run -p tests --example gateway -- COMMAND ARGUMENT…` runs a command with the service's address in `API` and
//! exits with the command's status.

#![expect(unreachable_pub, reason = "a program has no users; `pub` items are for its other modules")]

mod environments;
mod exchange;
#[path = "../it/support/http_server.rs"]
mod http_server;
#[path = "../it/support/gateway.rs"]
mod request;
mod template;

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::process::{Command, ExitCode};

use ::tests::postgres::{self, Server};
use ::tests::process::{Guard, guard};
use ::tests::{Error, binaries, tools};

use environments::Environments;
use exchange::Gateway;
use http_server::HttpServer;
use template::Template;

/// The number of requests that are served at a time.
const THREADS: usize = 8;

/// A secret for this machine only. The template leaves the variable empty.
const JWT_SECRET: &str = "0b5b3b0c6e0f4d1f9a7c2e8d6b4a1c3e5f7091b3d5f7a9c1e3f507192b3d4f60";
/// The token of operators, because the gateway does not sign requests.
const ADMIN_TOKEN: &str = "3f9b8c27d1e6450a97c2b4e8f6d10a35";
/// The lowest cost that functions accept, because clients may sign in a thousand times.
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
        return Err(Error::new("The command is missing.", "cargo run -p tests --example gateway -- COMMAND ARGUMENT…"));
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
    // No function sends what is in it.
    let outbox = guard.target().join("gateway-outbox");
    let _ = fs::remove_dir_all(&outbox);
    let overrides = vec![
        ("DATABASE_URL".to_owned(), database_url),
        ("JWT_SECRET".to_owned(), JWT_SECRET.to_owned()),
        ("ADMIN_TOKEN".to_owned(), ADMIN_TOKEN.to_owned()),
        ("BCRYPT_COST".to_owned(), BCRYPT_COST.to_owned()),
        // All clients have the same address.
        ("FAILED_SIGN_INS_PER_HOUR".to_owned(), "0".to_owned()),
        ("REGISTRATIONS_PER_HOUR".to_owned(), "0".to_owned()),
        ("MAILS_PER_HOUR".to_owned(), "0".to_owned()),
        ("MAILS_PER_DAY".to_owned(), "0".to_owned()),
        ("MAIL_OUTBOX".to_owned(), outbox.to_string_lossy().into_owned()),
    ];
    let environments = Environments::new(tools.clone(), binaries, log, overrides);
    let gateway = Gateway::new(template, environments);
    let http_server = HttpServer::start(THREADS, move |request| gateway.serve(request)).map_err(|error| {
        Error::new(format!("The gateway cannot listen: {error}"), "Check that this machine has a loopback interface.")
    })?;
    let status = Command::new(program)
        .args(arguments)
        .env("API", format!("http://localhost:{}", http_server.port()))
        .env("ADMIN_TOKEN", ADMIN_TOKEN)
        .env("PATH", tools.search_path())
        .status()
        .map_err(|error| Error::start(&program.to_string_lossy(), error))?;
    drop(http_server);
    if !status.success() {
        eprintln!("The log of the functions is in {}.", log_path.display());
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
