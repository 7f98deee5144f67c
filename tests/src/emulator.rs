//! One function under the AWS Lambda Runtime Interface Emulator, the Runtime API that Amazon ships.

use std::{fs::File, path::Path, time::Duration};

use crate::{
    Error, port,
    process::{Running, spawn_into},
    tools::Tools,
};

const START_PATIENCE: Duration = Duration::from_secs(10);

/// An emulator that starts its function at the first invocation and takes one at a time; dropping it stops both.
#[derive(Debug)]
pub struct Emulator {
    // Held for its drop.
    _running: Running,
    invocations: String,
}

/// Settings of an emulator.
#[derive(Debug)]
pub struct Options<'a> {
    /// The function to run.
    pub binary: &'a Path,
    /// Variables for it, beside those of this process.
    pub env: &'a [(&'a str, &'a str)],
    /// Where its and the emulator's output goes; `None` leaves it with this process's.
    pub output: Option<&'a File>,
}

/// Starts the emulator and waits until it listens. Linux only.
pub fn start(tools: &Tools, options: Options<'_>) -> Result<Emulator, Error> {
    let program = tools.runtime_interface_emulator()?;
    let [port, runtime_port] = [port::free()?, port::free()?];
    let mut command = tools.command(program);
    command
        .args(["--runtime-interface-emulator-address", &address(port)])
        .args(["--runtime-api-address", &address(runtime_port)])
        .args(["--log-level", "warn"])
        .arg(options.binary)
        .envs(options.env.iter().copied());
    let mut running =
        spawn_into(command, options.output).map_err(|error| Error::start("the Runtime Interface Emulator", error))?;
    if !port::opens(port, &mut running, START_PATIENCE) {
        return Err(Error::new(
            format!("The Runtime Interface Emulator did not start on port {port}."),
            "It is a program for Linux. Its own messages are above or in the file given to it.",
        ));
    }
    Ok(Emulator {
        _running: running,
        invocations: format!("http://{}/2015-03-31/functions/function/invocations", address(port)),
    })
}

impl Emulator {
    /// Invokes the function with an event, both JSON, and gives its answer, an error of the function's included.
    pub fn invoke(&self, event: &str) -> Result<String, Error> {
        ureq::post(&self.invocations)
            .config()
            .http_status_as_error(false)
            .build()
            .send(event)
            .and_then(|mut response| response.body_mut().read_to_string())
            .map_err(|error| {
                Error::new(
                    format!("The function was not invoked: {error}"),
                    "The emulator's own messages are above or in the file given to it.",
                )
            })
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
