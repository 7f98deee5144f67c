//! The guard process, which [`Guard::command`](super::Guard::command) starts.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Read},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, setsid};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use super::descendants;

/// The first argument of a binary that runs as a guard.
pub const SUBCOMMAND: &str = "guard";

/// The variable that names a folder to remove after the program has ended.
pub const REMOVES: &str = "GUARD_REMOVES";

/// The parent writes this before it closes the pipe if the folder must be kept.
pub(super) const KEEP: &[u8] = b"keep";

/// Time for a program to stop before it is killed. PostgreSQL writes a checkpoint in this time.
const GRACE: Duration = Duration::from_secs(5);

/// The exit code by which shells report a program that cannot be started.
const CANNOT_START: u8 = 127;

enum Event {
    Stop,
    /// The parent closed the pipe, and may have asked to keep the folder.
    Released {
        keep: bool,
    },
    Ended(ExitStatus),
}

/// Runs a program until it ends or standard input is closed, kills its descendants, and returns its exit code.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = arguments.next() else {
        eprintln!("guard: the name of a program is missing");
        return ExitCode::from(CANNOT_START);
    };
    detach();
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::null()).env_remove(REMOVES);
    hide_cargo_variables(&mut command);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("{}: {error}", program.display());
            return ExitCode::from(CANNOT_START);
        }
    };
    let pid = Pid::from_child(&child);
    let (sender, events) = mpsc::channel();
    stop_on_signal(sender.clone());
    stop_with_parent(sender.clone());
    report_end(child, sender);
    let (status, keep) = supervise(pid, &events);
    if let Some(folder) = env::var_os(REMOVES).filter(|_| !keep) {
        // The next start removes what this cannot remove.
        let _ = fs::remove_dir_all(folder);
    }
    ExitCode::from(status.map_or(1, exit_code))
}

/// Leaves the terminal, so that Ctrl-C reaches only the parent, and adopts descendants whose own parent has ended.
fn detach() {
    // Fails only for the leader of a process group, which Ctrl-C of the parent's group does not reach.
    let _ = setsid();
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(Pid::INIT));
}

/// Removes the variables that `cargo run` sets for this package. Build scripts that watch them, such as that of ring, would
/// otherwise run again whenever `cargo dev` and a plain `cargo build` alternate.
fn hide_cargo_variables(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
}

fn stop_on_signal(events: Sender<Event>) {
    // Without a handler a signal ends the guard before its child, which cannot be prevented here.
    if let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        thread::spawn(move || {
            for _ in signals.forever() {
                let _ = events.send(Event::Stop);
            }
        });
    }
}

fn stop_with_parent(events: Sender<Event>) {
    thread::spawn(move || {
        let mut request = Vec::new();
        let _ = io::stdin().read_to_end(&mut request);
        let _ = events.send(Event::Released { keep: request == KEEP });
    });
}

fn report_end(mut child: Child, events: Sender<Event>) {
    thread::spawn(move || {
        if let Ok(status) = child.wait() {
            let _ = events.send(Event::Ended(status));
        }
    });
}

/// Waits for the end of the program or stops it. Returns its exit status, if any, and whether its folder is kept.
fn supervise(child: Pid, events: &Receiver<Event>) -> (Option<ExitStatus>, bool) {
    // Listed before the stop: only Linux lets the guard adopt descendants whose parent has ended.
    let mut before = Vec::new();
    let (status, keep) = match events.recv() {
        Ok(Event::Ended(status)) => (Some(status), false),
        event => {
            before = descendants::of_this_process();
            ask_to_stop(child);
            (wait_for_end(events), matches!(event, Ok(Event::Released { keep: true })))
        }
    };
    descendants::kill_all(before);
    (status, keep)
}

/// PostgreSQL waits for its clients after SIGTERM, and disconnects them after SIGINT, which background jobs of a shell ignore.
fn ask_to_stop(child: Pid) {
    for signal in [Signal::TERM, Signal::INT] {
        let _ = kill_process(child, signal);
    }
}

fn wait_for_end(events: &Receiver<Event>) -> Option<ExitStatus> {
    loop {
        match events.recv_timeout(GRACE) {
            Ok(Event::Ended(status)) => return Some(status),
            Ok(Event::Stop | Event::Released { .. }) => {}
            Err(_) => return None,
        }
    }
}

/// The exit code, or 128 plus the number of the signal, as in shells.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(1)
}
