use std::{fmt, io, path::Path};

use crate::log;

/// A failure, and what the reader can do about it.
///
/// The crate has a single error type because no caller distinguishes failures: people read them.
#[derive(Clone)]
pub struct Error {
    problem: String,
    output: Option<String>,
    advice: String,
}

impl Error {
    /// Makes an error that states the problem and what to do.
    pub fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), output: None, advice: advice.into() }
    }

    /// A file or folder that could not be created, read, written, or removed.
    pub fn file(path: &Path, error: io::Error) -> Self {
        Self::new(
            format!("{}: {error}", path.display()),
            "Check the permissions of this path and the free space of its disk.",
        )
    }

    /// A program that could not be started.
    pub fn start(program: &str, error: io::Error) -> Self {
        Self::new(
            format!("{program} cannot be started: {error}"),
            "Check that the machine has enough memory and may start more processes.",
        )
    }

    /// Adds the last lines of what a program printed, and the name of the file that has all of it.
    #[must_use]
    pub fn with_output(mut self, output: &str, file: &Path) -> Self {
        self.output = Some(log::excerpt(output, file));
        self
    }

    /// The lines added by [`Self::with_output`].
    pub fn output(&self) -> Option<&str> {
        self.output.as_deref()
    }

    /// Replaces the advice by one that the caller knows better.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let output = self.output.as_deref().unwrap_or_default();
        write!(f, "{}\n{output}{}", self.problem, self.advice)
    }
}

/// The same text as `Display`: a failing test prints `Debug`, and its reader needs the advice too.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
