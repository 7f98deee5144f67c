//! A data folder for each version, created by `initdb` once and copied for every server. A copy takes a tenth of the time.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{PASSWORD, USER, Version, account::Account};
use crate::{Error, log::Log, process, tools::Tools};

/// The folder of the templates and of the temporary servers.
pub(super) fn folder(tools: &Tools) -> PathBuf {
    tools.guard().target().join("postgres")
}

/// Removes the temporary servers that killed processes left behind, then runs `claim` under the same lock, so that no other
/// sweep removes what it creates.
pub(super) fn sweep_and<T>(tools: &Tools, claim: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let folder = folder(tools);
    let _lock = Log::lock(&folder.join("template.log"))?;
    let entries = fs::read_dir(&folder).map_err(|error| Error::file(&folder, error))?;
    for server in entries.flatten().map(|entry| entry.path()) {
        let log = server.join("log");
        if log.exists() && Log::try_lock(&log, Duration::ZERO)?.is_some() {
            remove(&server)?;
        }
    }
    claim()
}

/// Copies the template to `data`, all or nothing.
pub(super) fn copy(tools: &Tools, account: Account, version: Version, data: &Path) -> Result<(), Error> {
    let template = ensure(tools, account, version)?;
    let partial = data.with_extension("partial");
    remove(&partial)?;
    copy_folder(&template, &partial, account).map_err(|error| Error::file(&partial, error))?;
    fs::rename(&partial, data).map_err(|error| Error::file(data, error))
}

/// Copies the data of a stopped server.
pub(super) fn copy_data(account: Account, from: &Path, to: &Path) -> Result<(), Error> {
    copy_folder(from, to, account).map_err(|error| Error::file(from, error))
}

/// Removes a folder if it exists.
pub(super) fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file(folder, error)),
        _ => Ok(()),
    }
}

fn ensure(tools: &Tools, account: Account, version: Version) -> Result<PathBuf, Error> {
    let folder = folder(tools);
    let log = Log::lock(&folder.join("template.log"))?;
    let template = folder.join(format!("template-{}", version.major()));
    if !template.exists() {
        log.clear()?;
        make(tools, account, version, &template, &log)?;
    }
    Ok(template)
}

fn make(tools: &Tools, account: Account, version: Version, template: &Path, log: &Log) -> Result<(), Error> {
    let partial = template.with_extension("partial");
    remove(&partial)?;
    let password = template.with_extension("password");
    fs::write(&password, PASSWORD).map_err(|error| Error::file(&password, error))?;

    let mut initdb = account.command(tools, &version.programs(tools)?.join("initdb"));
    initdb
        .arg("--pgdata")
        .arg(&partial)
        .arg("--pwfile")
        .arg(&password)
        .args(["--username", USER, "--auth", "scram-sha-256"])
        // Sorts by bytes, on every system.
        .args(["--encoding", "UTF8", "--locale", "C"])
        .args(["--no-sync", "--no-instructions"]);
    log.take_output_of(&mut initdb)?;
    let status = process::run(initdb).map_err(|error| Error::start("initdb", error))?;
    if !status.success() {
        return Err(log.attach_to(Error::new(
            "initdb could not create a database.",
            "Correct the cause that initdb printed, then try again.",
        )));
    }
    let access = partial.join("pg_hba.conf");
    // For the servers that also listen on other addresses than loopback.
    fs::write(&access, "host all all all scram-sha-256\n").map_err(|error| Error::file(&access, error))?;
    fs::rename(&partial, template).map_err(|error| Error::file(template, error))
}

fn copy_folder(from: &Path, to: &Path, account: Account) -> io::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    account.own(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target, account)?;
        } else {
            fs::copy(entry.path(), &target)?;
            account.own(&target)?;
        }
    }
    Ok(())
}
