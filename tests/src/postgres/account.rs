//! The system account of PostgreSQL, which does not run as root.

use std::{
    io,
    os::unix::fs::lchown,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use crate::{Error, tools::Tools};

/// An account that every system has and that owns no files.
const UNPRIVILEGED: &str = "nobody";

#[derive(Clone, Copy, Debug)]
pub(super) enum Account {
    Caller,
    Unprivileged { uid: u32, gid: u32 },
}

impl Account {
    /// The caller's account, or an unprivileged one if the caller is root.
    pub(super) fn able_to_run() -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self::Caller);
        }
        match (id("-u"), id("-g")) {
            (Some(uid), Some(gid)) if has_setpriv() => Ok(Self::Unprivileged { uid, gid }),
            _ => Err(Error::new(
                format!(
                    "PostgreSQL does not run as root, and this machine does not have the account `{UNPRIVILEGED}` or \
                     the program `setpriv` (util-linux), with which it could run as another account."
                ),
                "Try again as another user than root, or set DATABASE_URL to a running PostgreSQL.",
            )),
        }
    }

    /// A guarded command that runs as this account.
    ///
    /// It keeps root's access to files, because the workspace can be in a folder that other accounts cannot enter, such as
    /// `/root`.
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
                    // Without this, access(2), by which initdb looks for its programs, ignores that capability.
                    .arg("--securebits=+no_setuid_fixup")
                    .arg(program);
                command
            }
        };
        // On macOS PostgreSQL does not start without a valid locale, because it becomes multithreaded.
        command.env("LC_ALL", "C");
        command
    }

    /// Makes the account the owner of a file, because PostgreSQL requires that it owns its data.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Caller => Ok(()),
            Self::Unprivileged { uid, gid } => lchown(path, Some(uid), Some(gid)),
        }
    }
}

/// Returns the user or group id of the unprivileged account.
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
