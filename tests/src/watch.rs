//! `cargo lambda watch`: serves every function on its route and starts it at its first request.
//!
//! The routes are in the table `[workspace.metadata.lambda.watch.router]` of the root `Cargo.toml`. cargo-lambda runs each
//! function with `cargo run`, which is quick after [`binaries::build`](crate::binaries::build), and restarts it after a
//! change of a source file. It does not watch `target/` and the files that `.gitignore` names.

use std::{fs::File, net::IpAddr, time::Duration};

use crate::{
    Error, WORKSPACE, port,
    process::{Running, spawn_into},
    tools::Tools,
};

/// Requests that one function serves at a time. Each has its own process, as in Lambda.
const CONCURRENCY: &str = "2";

const START_PATIENCE: Duration = Duration::from_secs(30);

/// Settings of `cargo lambda watch`.
#[derive(Debug)]
pub struct Options<'a> {
    /// The address to listen on.
    pub address: IpAddr,
    /// The port to listen on.
    pub port: u16,
    /// Variables of the functions, in addition to those of this process.
    pub env: &'a [(&'a str, &'a str)],
    /// Whether browsers may call the functions from all origins.
    pub cors: bool,
    /// Receives the output of the functions and of cargo-lambda. With `None` they write to the output of this process.
    pub output: Option<&'a File>,
}

/// A running `cargo lambda watch`. Dropping it stops it and the functions.
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
            "The usual cause is another program that has taken the port meanwhile. Try again, or choose another port.",
        ));
    }
    Ok(Watch { running, port: options.port })
}

impl Watch {
    /// `http://localhost:PORT`, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Returns a call that starts a function before its first request and waits for the start.
    pub fn waker(&self, function: &str) -> impl FnOnce() + Send + use<> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.base_url());
        // The function rejects this event, which is not a request, but it has started.
        move || drop(ureq::post(url).config().http_status_as_error(false).build().send("{}"))
    }

    /// Whether `cargo lambda watch` ended without being stopped.
    pub fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }
}
