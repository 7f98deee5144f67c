//! One function under the AWS Lambda Runtime Interface Emulator, Amazon's implementation of the Runtime API.

use std::{fs::File, path::Path, time::Duration};

use crate::{
    Error, port,
    process::{Running, spawn_into},
    tools::Tools,
};

const START_PATIENCE: Duration = Duration::from_secs(10);

/// A running emulator. It starts its function at the first invocation and serves one invocation at a time. Dropping it stops
/// both.
#[derive(Debug)]
pub struct Emulator {
    // Held so that its drop stops the emulator.
    _running: Running,
    invocations: String,
}

/// Settings of an emulator.
#[derive(Debug)]
pub struct Options<'a> {
    /// The function to run.
    pub binary: &'a Path,
    /// Variables of the function, in addition to those of this process.
    pub env: &'a [(&'a str, &'a str)],
    /// Receives the output of the function and the emulator. With `None` they write to the output of this process.
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
            "The emulator runs on Linux only. Read its messages above, or in the file that its output goes to.",
        ));
    }
    Ok(Emulator {
        _running: running,
        invocations: format!("http://{}/2015-03-31/functions/function/invocations", address(port)),
    })
}

impl Emulator {
    /// Invokes the function with a JSON event and returns its JSON response, which may be an error.
    pub fn invoke(&self, event: &str) -> Result<String, Error> {
        ureq::post(&self.invocations)
            .config()
            .http_status_as_error(false)
            .build()
            .send(event)
            .and_then(|mut response| response.body_mut().read_to_string())
            .map_err(|error| {
                Error::new(
                    format!("The function could not be invoked: {error}"),
                    "Read the messages of the emulator above, or in the file that its output goes to.",
                )
            })
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
