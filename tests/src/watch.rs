//! `cargo lambda watch`: every function behind its route, started by its first request.
//!
//! The routes are the table `[workspace.metadata.lambda.watch.router]` of the root `Cargo.toml`. cargo-lambda runs each
//! function with `cargo run`, which is quick after [`binaries::build`](crate::binaries::build), and again when a source
//! changes; `target/` and what `.gitignore` names are not watched.

use std::{fs::File, net::IpAddr, time::Duration};

use crate::{
    Error, WORKSPACE, port,
    process::{Running, spawn_into},
    tools::Tools,
};

/// How many requests one function answers at a time, each in a process of its own, as Lambda has it.
const CONCURRENCY: &str = "2";

const START_PATIENCE: Duration = Duration::from_secs(30);

/// Settings of `cargo lambda watch`.
#[derive(Debug)]
pub struct Options<'a> {
    /// The address to listen on.
    pub address: IpAddr,
    /// The port to listen on.
    pub port: u16,
    /// Variables for the functions, beside those of this process.
    pub env: &'a [(&'a str, &'a str)],
    /// Whether browsers may let pages of any origin read the answers.
    pub cors: bool,
    /// Where the functions' and cargo-lambda's output goes; `None` leaves it with this process's.
    pub output: Option<&'a File>,
}

/// A running `cargo lambda watch`; dropping it stops it and the functions.
#[derive(Debug)]
pub struct Watch {
    running: Running,
    port: u16,
}

/// Starts `cargo lambda watch` and waits until it listens.
pub fn start(tools: &Tools, options: Options<'_>) -> Result<Watch, Error> {
    let mut command = tools.command("cargo-lambda");
    command
        .args(["lambda", "watch"])
        .args((!options.cors).then_some("--disable-cors"))
        .args(["--concurrency", CONCURRENCY])
        .args(["--invoke-address", &options.address.to_string()])
        .args(["--invoke-port", &options.port.to_string()])
        .envs(options.env.iter().copied())
        .current_dir(WORKSPACE);
    let mut running = spawn_into(command, options.output).map_err(|error| Error::start("cargo-lambda", error))?;
    if !port::opens(options.port, &mut running, START_PATIENCE) {
        return Err(Error::new(
            format!("`cargo lambda watch` did not start on port {}.", options.port),
            "Its own messages are above or in the file given to it; a port that was taken meanwhile is the usual cause.",
        ));
    }
    Ok(Watch { running, port: options.port })
}

impl Watch {
    /// `http://localhost:PORT`, with nothing after it.
    pub fn base_url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// A call that starts a function before anybody needs it; it takes as long as that start does.
    pub fn waker(&self, function: &str) -> impl FnOnce() + Send + use<> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.base_url());
        // No request: the function refuses it, and is up.
        move || drop(ureq::post(url).config().http_status_as_error(false).build().send("{}"))
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }
}
