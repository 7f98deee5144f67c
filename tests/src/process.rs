//! Child processes that end when this process ends, however it ends.
//!
//! A child runs under a guard: a second process of a binary such as `dev`, started as `dev guard PROGRAM ARGUMENT…`. The
//! guard's standard input is a pipe whose other end only this process holds. When that end is closed, by [`Running::stop`],
//! by a drop, by [`stop_all`], or by `kill -9`, the guard stops the program and then kills all its descendants. A signal to
//! a process group would not reach them all: cargo-lambda gives each `cargo run` its own group.

mod descendants;
pub mod guard;

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// The binary that guards children, and the build folder that it is in.
#[derive(Clone, Debug)]
pub struct Guard {
    binary: PathBuf,
}

impl Guard {
    /// The guard of a test: `Guard::new(env!("CARGO_BIN_EXE_dev"))`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into() }
    }

    /// The guard of `cargo dev` and of the gateway: the running binary, which supports [`guard::SUBCOMMAND`].
    pub fn this_binary() -> io::Result<Self> {
        env::current_exe().map(Self::new)
    }

    /// Cargo's build folder, by default `target/`. The binary is in `target/<profile>/` or, if it is an example, in
    /// `target/<profile>/examples/`.
    ///
    /// # Panics
    /// The binary is not in a build folder.
    pub fn target(&self) -> &Path {
        let mut folders = self.binary.ancestors().skip(1).filter(|folder| !folder.ends_with("examples"));
        folders.nth(1).expect("cargo puts a binary two folders below the build folder")
    }

    /// A command that will run `program` under the guard. Add arguments, then [`spawn`] it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(guard::SUBCOMMAND).arg(program);
        command
    }
}

/// The pipe to a guard. Closing it stops the child.
type Lifeline = Mutex<Option<ChildStdin>>;

/// The children of this process.
struct Children {
    stopping: bool,
    lifelines: Vec<Weak<Lifeline>>,
}

static CHILDREN: Mutex<Children> = Mutex::new(Children { stopping: false, lifelines: Vec::new() });

/// Makes all children stop, and all later attempts to start one fail. Does not wait for their end.
pub fn stop_all() {
    let mut children = lock(&CHILDREN);
    children.stopping = true;
    for lifeline in children.lifelines.drain(..).filter_map(|lifeline| lifeline.upgrade()) {
        *lock(&lifeline) = None;
    }
}

/// Whether [`stop_all`] was called, so that failures of children are its consequence.
pub fn is_stopping() -> bool {
    lock(&CHILDREN).stopping
}

/// Redirects the output of a command, and so that of its descendants, to a file.
pub(crate) fn send_output(command: &mut Command, file: &File) -> io::Result<()> {
    command.stdout(Stdio::from(file.try_clone()?)).stderr(Stdio::from(file.try_clone()?));
    Ok(())
}

/// Starts a command made by [`Guard::command`].
pub fn spawn(mut command: Command) -> io::Result<Running> {
    // Held until the child is registered: `stop_all` must not miss it.
    let mut children = lock(&CHILDREN);
    if children.stopping {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let mut guard = command.stdin(Stdio::piped()).spawn()?;
    // Taken out of the child, because `Child::wait` would close it and so stop the program.
    let lifeline = Arc::new(Mutex::new(guard.stdin.take()));
    children.lifelines.retain(|lifeline| lifeline.strong_count() > 0);
    children.lifelines.push(Arc::downgrade(&lifeline));
    Ok(Running { guard, lifeline })
}

/// Starts a command made by [`Guard::command`]. Its output goes to a file if one is given.
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

/// A guarded child. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    guard: Child,
    lifeline: Arc<Lifeline>,
}

impl Running {
    /// Waits until the child ends, and returns its status.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.guard.wait()
    }

    /// Whether the child has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.guard.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Like [`Self::stop`], but keeps the folder that [`guard::REMOVES`] names.
    pub fn stop_and_keep(&mut self) -> io::Result<ExitStatus> {
        if let Some(lifeline) = &mut *lock(&self.lifeline) {
            lifeline.write_all(guard::KEEP)?;
        }
        self.stop()
    }

    /// Stops the child and all its descendants, and waits until they have ended.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        *lock(&self.lifeline) = None;
        self.guard.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Locks a mutex. A panic of another holder leaves nothing inconsistent here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
