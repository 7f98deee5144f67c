//! Ctrl-C and the signals that mean the same.

use std::{
    process,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
};

use ::tests::{Error, process::stop_all};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// The exit code of a program that Ctrl-C ended, by the convention of shells.
pub const EXIT_CODE: u8 = 130;

static HAPPENED: AtomicBool = AtomicBool::new(false);

/// Whether a signal has arrived, so that failures of child processes are its consequence.
pub fn happened() -> bool {
    HAPPENED.load(Ordering::Relaxed)
}

/// Stops all child processes at the first signal and sends a message. The second signal ends this process at once; the guards
/// of the children finish their work without it.
pub fn stop_on_signals() -> Result<Receiver<()>, Error> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| {
        Error::new(format!("Ctrl-C cannot be handled: {error}"), "Start `cargo dev` from an interactive shell.")
    })?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for _ in signals.forever() {
            if HAPPENED.swap(true, Ordering::Relaxed) {
                process::exit(EXIT_CODE.into());
            }
            let _ = sender.send(());
            stop_all();
        }
    });
    Ok(receiver)
}
