//! `cargo dev`: runs the whole service on this machine until Ctrl-C.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for processes and read their own environment; `.clippy.toml` names modules for functions"
)]
#![expect(unreachable_pub, reason = "a program has no users; `pub` items are for its other modules")]

mod arguments;
mod database;
mod function_log;
mod interrupt;
mod mail;
mod output;
mod screen;
mod secret;
mod service;

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use ::tests::{Error, process::guard};
use arguments::{Action, HELP};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == guard::SUBCOMMAND).is_some() {
        return guard::run(arguments);
    }
    match arguments::parse(arguments).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if interrupt::happened() => ExitCode::from(interrupt::EXIT_CODE),
        Err(error) => {
            // Not `eprintln!`, which panics if standard error is closed.
            let _ = writeln!(io::stderr(), "\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<(), Error> {
    match action {
        Action::Help => {
            let _ = write!(io::stdout(), "{HELP}");
            Ok(())
        }
        Action::Run(options) => service::run(options),
    }
}
