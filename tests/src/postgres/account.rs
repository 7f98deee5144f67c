//! The account that PostgreSQL runs as: it refuses to run as root.

use std::{
    io,
    os::unix::fs::lchown,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use crate::{Error, tools::Tools};

/// An account that exists everywhere and owns nothing.
const UNPRIVILEGED: &str = "nobody";

#[derive(Clone, Copy, Debug)]
pub(super) enum Account {
    Caller,
    Unprivileged { uid: u32, gid: u32 },
}

impl Account {
    /// The caller where that will do, else an unprivileged account.
    pub(super) fn able_to_run() -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self::Caller);
        }
        match (id("-u"), id("-g")) {
            (Some(uid), Some(gid)) if has_setpriv() => Ok(Self::Unprivileged { uid, gid }),
            _ => Err(Error::new(
                format!(
                    "PostgreSQL does not run as root, and this machine lacks the account `{UNPRIVILEGED}` or the \
                     program `setpriv` (util-linux) to run it otherwise."
                ),
                "Try again as an ordinary user, or set DATABASE_URL to a server of your own.",
            )),
        }
    }

    /// A guarded command that runs as this account.
    ///
    /// It may pass and read what root may: the workspace can lie in a folder that is closed to others, as `/root` is.
    pub(super) fn command(self, tools: &Tools, program: &Path) -> Command {
        let mut command = match self {
            Self::Caller => tools.command(program),
            Self::Unprivileged { uid, gid } => {
                let mut command = tools.command("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"))
                    .arg("--clear-groups")
                    .arg("--inh-caps=+dac_override")
                    .arg("--ambient-caps=+dac_override")
                    // Or access(2), by which initdb looks for its programs, would not count that capability.
                    .arg("--securebits=+no_setuid_fixup")
                    .arg(program);
                command
            }
        };
        // macOS: without a valid locale PostgreSQL becomes multithreaded at start, and stops.
        command.env("LC_ALL", "C");
        command
    }

    /// Makes the account the owner of a file: PostgreSQL accepts no one else's data.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Caller => Ok(()),
            Self::Unprivileged { uid, gid } => lchown(path, Some(uid), Some(gid)),
        }
    }
}

/// What `id` says of the unprivileged account.
fn id(option: &str) -> Option<u32> {
    let output = Command::new("id").args([option, UNPRIVILEGED]).stderr(Stdio::null()).output().ok()?;
    str::from_utf8(&output.stdout).ok()?.trim().parse().ok()
}

fn has_setpriv() -> bool {
    Command::new("setpriv")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
