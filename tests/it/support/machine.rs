//! Tools, binaries, and the guard, each prepared once in a run.

use std::fs::File;
use std::path::Path;
use std::sync::LazyLock;

use tests::binaries::{self, Binaries};
use tests::emulator::{self, Emulator};
use tests::process::Guard;
use tests::tools::{self, Tools};

/// The guard, which stops the processes that a test starts.
pub fn guard() -> Guard {
    Guard::new(env!("CARGO_BIN_EXE_dev"))
}

/// The pinned programs, installed by the first call.
pub fn tools() -> &'static Tools {
    static TOOLS: LazyLock<Tools> =
        LazyLock::new(|| tools::prepare(&guard()).unwrap_or_else(|error| panic!("{error}")));
    &TOOLS
}

/// The functions, built by the first call.
pub fn binaries() -> Binaries {
    binaries::build(&guard()).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a function under the Lambda emulator. Discards the output of both.
pub fn emulate(binary: &Path, env: &[(&str, &str)]) -> Result<Emulator, tests::Error> {
    emulator::start(tools(), emulator::Options { binary, env, output: Some(&silence()) })
}

/// A file that discards its contents.
pub fn silence() -> File {
    File::options().write(true).open("/dev/null").expect("every system that has processes has one")
}
