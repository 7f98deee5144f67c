use std::{fmt, io, path::Path};

/// What went wrong, and what the person at the keyboard can do about it.
///
/// One type for the whole crate: nothing here tells one failure from another, people read them.
#[derive(Clone)]
pub struct Error {
    what: String,
    advice: String,
}

impl Error {
    /// Makes an error that says what failed and what to do.
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into() }
    }

    /// A file or folder that could not be made, read, written or removed.
    pub fn file(path: &Path, error: io::Error) -> Self {
        Self::new(
            format!("{}: {error}", path.display()),
            "Check that you may write there and that the disk is not full.",
        )
    }

    /// A program that could not be started at all.
    pub fn start(program: &str, error: io::Error) -> Self {
        Self::new(
            format!("{program} cannot be started: {error}"),
            "Check that there is memory and room for another process.",
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.what, self.advice)
    }
}

/// The same text as `Display`: a test that fails prints `Debug`, and its reader needs the advice too.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
