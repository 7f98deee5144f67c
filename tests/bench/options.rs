//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use ::tests::Error;

pub const HELP: &str = "\
Measures function binaries under a Runtime API on this machine, and prints a
table. docs/performance.md explains the columns.

Usage: cargo run --release -p tests --bin bench -- [options]

Options:
  --cases LIST        Comma-separated, of: get put list batch refresh sign-in
                      cold cold-tls. Default: all
  --rounds N          Rounds, in which the candidates take turns. Default: 20
  --invocations N     Invocations of a candidate in a round. Sign-ins and cold
                      starts: a fiftieth. Default: 100
  --rows LIST         Stored values, comma-separated and ascending, in
                      thousands: the cases run with each. Default: 100000
  --baseline FOLDER   Also measure a previous build, the binaries in FOLDER
  --current FOLDER    Measure the binaries in FOLDER instead of building them
  --profile NAME      Profile to build: release or dev. Default: release
  --skip-node         Leave out the Node peer
  --key FILE          Key ring of the functions, such as a private key in PEM.
                      Default: a shared secret. The Node peer has no other
  --flood SECONDS     Instead of the cases: sign in from several addresses while
                      one sends wrong passwords
  -h, --help          Print this
";

/// The choices of the command line.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// Names of cases; none means all.
    pub cases: Vec<String>,
    pub rounds: usize,
    pub invocations: usize,
    pub rows: Vec<usize>,
    pub baseline: Option<PathBuf>,
    pub current: Option<PathBuf>,
    pub profile: String,
    pub skip_node: bool,
    pub key: Option<PathBuf>,
    pub flood: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cases: Vec::new(),
            rounds: 20,
            invocations: 100,
            rows: vec![100_000],
            baseline: None,
            current: None,
            profile: "release".to_owned(),
            skip_node: false,
            key: None,
            flood: None,
        }
    }
}

/// Reads the arguments; `None` asks for help.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Options>, Error> {
    let mut options = Options::default();
    let mut arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| wrong(format!("{name} needs a value.")));
        match name.as_str() {
            "--cases" => options.cases = value()?.split(',').map(str::to_owned).collect(),
            "--rounds" => options.rounds = number(&value()?)?,
            "--invocations" => options.invocations = number(&value()?)?,
            "--rows" => options.rows = rows(&value()?)?,
            "--baseline" => options.baseline = Some(folder(value()?)?),
            "--current" => options.current = Some(folder(value()?)?),
            "--profile" => options.profile = value()?,
            "--skip-node" => options.skip_node = true,
            "--flood" => {
                let seconds = u32::try_from(number(&value()?)?).unwrap_or(u32::MAX);
                options.flood = Some(Duration::from_secs(seconds.into()));
            }
            "--key" => options.key = Some(PathBuf::from(value()?)),
            "-h" | "--help" => return Ok(None),
            _ => return Err(wrong(format!("`{name}` is not an option."))),
        }
    }
    Ok(Some(options))
}

fn rows(text: &str) -> Result<Vec<usize>, Error> {
    let rows = text.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
    if rows.is_sorted() && rows.iter().all(|rows| rows.is_multiple_of(1000)) {
        return Ok(rows);
    }
    Err(wrong("--rows takes ascending multiples of 1000.".to_owned()))
}

fn number(text: &str) -> Result<usize, Error> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| wrong(format!("`{text}` is not a positive number.")))
}

fn folder(text: String) -> Result<PathBuf, Error> {
    PathBuf::from(&text).canonicalize().map_err(|error| wrong(format!("{text}: {error}.")))
}

fn wrong(message: String) -> Error {
    Error::new(message, "`--help` lists the options.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Option<Options>, Error> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn all_cases_are_measured_by_default() {
        assert_eq!(parsed(&[]).unwrap(), Some(Options::default()));
    }

    #[test]
    fn cases_and_counts_are_read() {
        let expected = Options {
            cases: vec!["get".to_owned(), "put".to_owned()],
            rounds: 3,
            rows: vec![1000, 100_000],
            skip_node: true,
            ..Options::default()
        };
        let arguments = ["--cases", "get,put", "--rounds", "3", "--rows", "1000,100000", "--skip-node"];
        assert_eq!(parsed(&arguments).unwrap(), Some(expected));
    }

    #[test]
    fn help_is_not_an_error() {
        assert_eq!(parsed(&["--rounds", "3", "--help"]).unwrap(), None);
    }

    #[test]
    fn wrong_arguments_are_rejected() {
        for arguments in
            [&["--rounds"][..], &["--rounds", "0"], &["--rows", "1500"], &["--rows", "2000,1000"], &["--speed"]]
        {
            assert!(parsed(arguments).is_err(), "{arguments:?}");
        }
    }
}
