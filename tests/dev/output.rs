//! The output of cargo, cargo-lambda, and the functions: a log file, or the terminal with `--verbose`.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use ::tests::{Error, relative};

use crate::screen::without_escapes;

/// Time for the last lines of a program that has ended to arrive.
const LAST_LINES_PATIENCE: Duration = Duration::from_secs(1);

/// Receives the output of programs.
pub enum Output {
    Terminal,
    Log(Log),
}

/// A part of an output.
#[derive(Debug, PartialEq)]
pub enum Text<'a> {
    /// A line, without escape sequences.
    Line(&'a str),
    /// A line that the program will overwrite, such as a progress bar.
    Overwritten(&'a str),
}

pub struct Log {
    path: PathBuf,
}

impl Output {
    /// Creates an empty log file, or chooses the terminal if `verbose`.
    pub fn new(path: &Path, verbose: bool) -> Result<Self, Error> {
        if verbose {
            return Ok(Self::Terminal);
        }
        File::create(path).map_err(|error| Error::file(path, error))?;
        Ok(Self::Log(Log { path: path.to_owned() }))
    }

    /// Runs `work` with the file that its programs must write to, if any. Each text that they write is passed to `on_text`,
    /// also after the end of `work` for programs that still run. If `work` fails, its error gets the last lines.
    pub fn collect<T>(
        &self,
        on_text: impl FnMut(Text<'_>) + Send + 'static,
        work: impl FnOnce(Option<&File>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Self::Log(log) = self else {
            return work(None);
        };
        let before = log.text().len();
        let (writer, end) = log.pipe(on_text)?;
        let result = work(Some(&writer));
        drop(writer);
        result.map_err(|error| {
            let _ = end.recv_timeout(LAST_LINES_PATIENCE);
            error.with_output(log.text().get(before..).unwrap_or_default(), &log.path)
        })
    }

    /// The path of the log, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Terminal => None,
            Self::Log(log) => Some(relative(&log.path)),
        }
    }

    /// Adds the last lines of the log to an error.
    pub fn attach_to(&self, error: Error) -> Error {
        match self {
            Self::Terminal => error,
            Self::Log(log) => error.with_output(&log.text(), &log.path),
        }
    }
}

impl Log {
    /// Returns the end of a pipe to write to. A thread copies from it to the log, and sends a message at the end.
    fn pipe(&self, on_text: impl FnMut(Text<'_>) + Send + 'static) -> Result<(File, Receiver<()>), Error> {
        let in_log = |error| Error::file(&self.path, error);
        let log = File::options().append(true).open(&self.path).map_err(in_log)?;
        let (reader, writer) = io::pipe().map_err(in_log)?;
        let (sender, end) = mpsc::channel();
        thread::spawn(move || {
            copy(reader, log, on_text);
            let _ = sender.send(());
        });
        Ok((File::from(OwnedFd::from(writer)), end))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.path).unwrap_or_default()).into_owned()
    }
}

/// Copies what a program writes to the log, without overwritten lines, until the program closes its output.
fn copy(reader: impl Read, mut log: impl Write, mut on_text: impl FnMut(Text<'_>)) {
    let mut bytes = Vec::new();
    // An error is the end as well.
    for byte in BufReader::new(reader).bytes().map_while(Result::ok) {
        match byte {
            b'\n' => {
                let text = take_text(&mut bytes);
                // A full disk must not stop the program.
                let _ = writeln!(log, "{text}");
                on_text(Text::Line(&text));
            }
            b'\r' => on_text(Text::Overwritten(&take_text(&mut bytes))),
            _ => bytes.push(byte),
        }
    }
    if !bytes.is_empty() {
        let text = take_text(&mut bytes);
        let _ = writeln!(log, "{text}");
        on_text(Text::Line(&text));
    }
}

fn take_text(bytes: &mut Vec<u8>) -> String {
    let text = without_escapes(&String::from_utf8_lossy(bytes));
    bytes.clear();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_bar_is_reported_and_not_logged() {
        let (mut log, mut texts) = (Vec::new(), Vec::new());
        let output = "   Compiling shared\n    Building [=> ] 1/3: shared\r\x1b[K   Compiling token\nend";
        copy(output.as_bytes(), &mut log, |text| texts.push(format!("{text:?}")));
        assert_eq!(String::from_utf8(log).unwrap(), "   Compiling shared\n   Compiling token\nend\n");
        assert_eq!(
            texts,
            [
                r#"Line("   Compiling shared")"#,
                r#"Overwritten("    Building [=> ] 1/3: shared")"#,
                r#"Line("   Compiling token")"#,
                r#"Line("end")"#,
            ]
        );
    }
}
