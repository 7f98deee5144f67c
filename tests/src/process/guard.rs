//! The guard's own side: the program that [`Guard::command`](super::Guard::command) starts.

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

/// The argument that makes a binary a guard.
pub const SUBCOMMAND: &str = "guard";

/// The variable that names a folder to be removed once the program has ended.
pub const REMOVES: &str = "GUARD_REMOVES";

/// What the parent says before it hangs up to have that folder kept after all.
pub(super) const KEEP: &[u8] = b"keep";

/// How long a program may take to stop by itself; PostgreSQL writes a checkpoint meanwhile.
const GRACE: Duration = Duration::from_secs(5);

/// What a shell answers for a program that it cannot start.
const CANNOT_START: u8 = 127;

enum Event {
    Stop,
    /// The parent hung up, and whether it had the folder kept.
    HungUp {
        keep: bool,
    },
    Ended(ExitStatus),
}

/// Runs a program until it ends or standard input does, leaves nothing of it behind, and answers with its exit code.
pub fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = arguments.next() else {
        eprintln!("guard: no program was named");
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
        // Whatever is left of it, the next start sweeps away.
        let _ = fs::remove_dir_all(folder);
    }
    ExitCode::from(status.map_or(1, exit_code))
}

/// Leaves the terminal, whose Ctrl-C is the parent's to handle, and adopts descendants whose own parent is gone.
fn detach() {
    // Fails only for the leader of a process group, which has no terminal to leave in the first place.
    let _ = setsid();
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(Pid::INIT));
}

/// Keeps what `cargo run` says about this package from a cargo below: build scripts that watch these variables (ring's
/// does) would run again each time `cargo dev` and a plain `cargo build` take turns.
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
    // Without a handler a signal ends the guard before its child: nothing better can be done here.
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
        let mut said = Vec::new();
        let _ = io::stdin().read_to_end(&mut said);
        let _ = events.send(Event::HungUp { keep: said == KEEP });
    });
}

fn report_end(mut child: Child, events: Sender<Event>) {
    thread::spawn(move || {
        if let Ok(status) = child.wait() {
            let _ = events.send(Event::Ended(status));
        }
    });
}

/// How the program ended, if it did, and whether its folder is kept.
fn supervise(child: Pid, events: &Receiver<Event>) -> (Option<ExitStatus>, bool) {
    // Taken before the stop: outside Linux a descendant whose parent is gone cannot be told from a stranger.
    let mut before = Vec::new();
    let (status, keep) = match events.recv() {
        Ok(Event::Ended(status)) => (Some(status), false),
        event => {
            before = descendants::of_this_process();
            ask_to_stop(child);
            (wait_for_end(events), matches!(event, Ok(Event::HungUp { keep: true })))
        }
    };
    descendants::kill_all(before);
    (status, keep)
}

/// To PostgreSQL SIGTERM means to wait for its clients, and SIGINT not to; a shell's background job may ignore SIGINT.
fn ask_to_stop(child: Pid) {
    for signal in [Signal::TERM, Signal::INT] {
        let _ = kill_process(child, signal);
    }
}

fn wait_for_end(events: &Receiver<Event>) -> Option<ExitStatus> {
    loop {
        match events.recv_timeout(GRACE) {
            Ok(Event::Ended(status)) => return Some(status),
            Ok(Event::Stop | Event::HungUp { .. }) => {}
            Err(_) => return None,
        }
    }
}

/// A signal's number above 128, as a shell has it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    u8::try_from(code).unwrap_or(1)
}
