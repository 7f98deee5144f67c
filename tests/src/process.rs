//! Children that end when this process does, however it does.
//!
//! A child runs under a guard: a binary such as `dev` once more, as `dev guard PROGRAM ARGUMENT…`. The guard's standard input
//! is a pipe whose other end only this process holds. When that end closes, by [`Running::stop`], by a drop or by
//! `kill -9`, the guard stops the program and then kills whatever descends from it. A process group would not reach
//! that far: cargo-lambda gives each `cargo run` a group of its own.

mod descendants;
pub mod guard;

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
};

/// The binary that guards children, and the build folder it lies in.
#[derive(Clone, Debug)]
pub struct Guard {
    binary: PathBuf,
}

impl Guard {
    /// The guard of a test: `Guard::new(env!("CARGO_BIN_EXE_dev"))`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into() }
    }

    /// The guard of `cargo dev` and of the gateway: the binary that is running, which knows [`guard::SUBCOMMAND`].
    pub fn this_binary() -> io::Result<Self> {
        env::current_exe().map(Self::new)
    }

    /// Cargo's build folder, `target/` unless configured otherwise: the binary is in `target/<profile>/` or, as an example,
    /// in `target/<profile>/examples/`.
    ///
    /// # Panics
    /// The binary is not in a build folder.
    pub fn target(&self) -> &Path {
        let mut folders = self.binary.ancestors().skip(1).filter(|folder| !folder.ends_with("examples"));
        folders.nth(1).expect("cargo puts a binary two folders below the build folder")
    }

    /// A command that will run `program` under the guard; add arguments, then [`spawn`] it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(guard::SUBCOMMAND).arg(program);
        command
    }
}

/// Sends what a command prints, and what its children print, to a file.
pub(crate) fn send_output(command: &mut Command, file: &File) -> io::Result<()> {
    command.stdout(Stdio::from(file.try_clone()?)).stderr(Stdio::from(file.try_clone()?));
    Ok(())
}

/// Starts a command made by [`Guard::command`].
pub fn spawn(mut command: Command) -> io::Result<Running> {
    let mut guard = command.stdin(Stdio::piped()).spawn()?;
    // Taken out of the child, or `Child::wait` would close it and thereby stop the program.
    let lifeline = guard.stdin.take();
    Ok(Running { guard, lifeline })
}

/// Starts a command made by [`Guard::command`], with what it prints in a file where one is given.
pub fn spawn_into(mut command: Command, output: Option<&File>) -> io::Result<Running> {
    if let Some(file) = output {
        send_output(&mut command, file)?;
    }
    spawn(command)
}

/// Runs a command made by [`Guard::command`] to its end.
pub fn run(command: Command) -> io::Result<ExitStatus> {
    spawn(command)?.wait()
}

/// A guarded child; dropping it stops it.
#[derive(Debug)]
pub struct Running {
    guard: Child,
    lifeline: Option<ChildStdin>,
}

impl Running {
    /// Waits for the child to end by itself; the status is the child's.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.guard.wait()
    }

    /// Whether the child has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.guard.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Like [`Self::stop`], but what [`guard::REMOVES`] names stays.
    pub fn stop_and_keep(&mut self) -> io::Result<ExitStatus> {
        if let Some(lifeline) = &mut self.lifeline {
            lifeline.write_all(guard::KEEP)?;
        }
        self.stop()
    }

    /// Stops the child and all its descendants, and waits until they are gone.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        self.lifeline = None;
        self.guard.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
