//! A log file that is also a lock.
//!
//! A child process that gets the file as its standard output shares the lock, and so do the descendants of the child. So the
//! lock is free when the last of them has ended, even if the process that took it was killed.

use std::{
    env,
    fmt::Write,
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{Error, process};

const EXCERPT_LINES: usize = 30;

const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Takes the lock. Waits until its holder releases it.
    pub(crate) fn lock(path: &Path) -> Result<Self, Error> {
        let log = Self::open(path)?;
        while !log.is_locked_now()? {
            if process::is_stopping() {
                return Err(Error::new(
                    format!("Another process still uses {}.", path.display()),
                    "Try again when it has ended.",
                ));
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(log)
    }

    /// Takes the lock, or returns `None` if another process still has it after `patience`.
    pub(crate) fn try_lock(path: &Path, patience: Duration) -> Result<Option<Self>, Error> {
        let log = Self::open(path)?;
        let deadline = Instant::now() + patience;
        while !log.is_locked_now()? {
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(Some(log))
    }

    fn open(path: &Path) -> Result<Self, Error> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
        }
        let file = File::options().create(true).append(true).open(path).map_err(|error| Error::file(path, error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn is_locked_now(&self) -> Result<bool, Error> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(Error::file(&self.path, error)),
        }
    }

    pub(crate) fn clear(&self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|error| Error::file(&self.path, error))
    }

    /// Redirects the command's output to this file and shares the lock with it.
    pub(crate) fn take_output_of(&self, command: &mut Command) -> Result<(), Error> {
        process::send_output(command, &self.file).map_err(|error| Error::file(&self.path, error))
    }

    /// Adds the last lines of this file to an error.
    pub(crate) fn attach_to(&self, error: Error) -> Error {
        let text = fs::read(&self.path).unwrap_or_default();
        error.with_output(&String::from_utf8_lossy(&text), &self.path)
    }
}

/// The last lines of an output, indented, under a line that names its file.
pub(crate) fn excerpt(output: &str, file: &Path) -> String {
    let file = relative(file).display();
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let last = &lines[lines.len().saturating_sub(EXCERPT_LINES)..];
    let mut text = match (last.len(), lines.len()) {
        (_, 0) => return format!("The output is empty ({file}).\n"),
        (shown, all) if shown < all => format!("The last {shown} of {all} lines of the output ({file}):\n"),
        _ => format!("The output ({file}):\n"),
    };
    for line in last {
        let _ = writeln!(text, "  | {line}");
    }
    text
}

/// The path as seen from the current folder.
pub fn relative(path: &Path) -> &Path {
    env::current_dir().ok().and_then(|folder| path.strip_prefix(folder).ok()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_output_is_shown_completely() {
        let text = excerpt("one\ntwo\n\n", Path::new("/logs/output.log"));
        assert_eq!(text, "The output (/logs/output.log):\n  | one\n  | two\n");
    }

    #[test]
    fn a_long_output_is_cut_to_its_last_lines() {
        let output: String = (1..=812).map(|line| format!("line {line}\n")).collect();
        let text = excerpt(&output, Path::new("/logs/output.log"));
        assert!(text.starts_with("The last 30 of 812 lines of the output (/logs/output.log):\n  | line 783\n"));
        assert!(text.ends_with("  | line 812\n"));
    }

    #[test]
    fn an_empty_output_is_named_as_such() {
        assert_eq!(excerpt("\n", Path::new("/logs/output.log")), "The output is empty (/logs/output.log).\n");
    }

    #[test]
    fn a_file_below_the_current_folder_is_named_by_its_relative_path() {
        let folder = env::current_dir().unwrap();
        assert_eq!(relative(&folder.join("target/dev/output.log")), Path::new("target/dev/output.log"));
    }
}
