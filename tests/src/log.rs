//! A log file that is also a lock.
//!
//! A child that gets the file as its standard output shares the lock, and so do the child's children: the lock is free
//! when the last of them is gone, also where the process that took it was killed.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{Error, process};

const TAIL_LINES: usize = 15;

pub(crate) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Takes the lock, waiting for it for as long as its holder runs.
    pub(crate) fn lock(path: &Path) -> Result<Self, Error> {
        let log = Self::open(path)?;
        log.file.lock().map_err(|error| Error::file(path, error))?;
        Ok(log)
    }

    /// Takes the lock, or is `None` where another process still has it after `patience`.
    pub(crate) fn try_lock(path: &Path, patience: Duration) -> Result<Option<Self>, Error> {
        let log = Self::open(path)?;
        let deadline = Instant::now() + patience;
        loop {
            match log.file.try_lock() {
                Ok(()) => return Ok(Some(log)),
                Err(TryLockError::Error(error)) => return Err(Error::file(path, error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Ok(None),
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn open(path: &Path) -> Result<Self, Error> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
        }
        let file = File::options().create(true).append(true).open(path).map_err(|error| Error::file(path, error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    pub(crate) fn clear(&self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|error| Error::file(&self.path, error))
    }

    /// Sends what the command prints here, and lets it share the lock.
    pub(crate) fn take_output_of(&self, command: &mut Command) -> Result<(), Error> {
        process::send_output(command, &self.file).map_err(|error| Error::file(&self.path, error))
    }

    /// The last lines, indented, for an error message.
    pub(crate) fn tail(&self) -> String {
        let text = fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| format!("  | {line}\n")).collect()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
