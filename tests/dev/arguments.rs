//! The command line of `cargo dev`.

use std::ffi::OsString;

use ::tests::Error;

pub const HELP: &str = "\
Runs the service on this machine until Ctrl-C: PostgreSQL, the migrations, and
every function on its route, on http://localhost:9000.

Usage: cargo dev [--fresh] [--cors] [--verbose]

Options:
  --fresh     Start with an empty database and new secrets
  --cors      Let browsers call the API from all origins, for a front end that
              is under development
  --verbose   Print the whole output of cargo, cargo-lambda, and the functions
              instead of writing it to target/dev/output.log
  -h, --help  Print this help

Variables:
  PORT          The port, default 9000
  DATABASE_URL  Use this PostgreSQL instead of starting one. --fresh does not
                empty it
  ADMIN_TOKEN   The token of operators, instead of a generated one
  JWT_SECRET    Sign tokens with this secret instead of a generated one
  NO_COLOR      Print without colors

All other variables are passed to the functions.

Exit codes: 0 after Ctrl-C, 130 after Ctrl-C before the service was ready, and
1 after an error.
";

/// The options of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether to start with an empty database and a new secret.
    pub fresh: bool,
    /// Whether browsers may call the API from all origins.
    pub cors: bool,
    /// Whether the output of all programs is printed instead of logged.
    pub verbose: bool,
}

#[derive(Debug, PartialEq)]
pub enum Action {
    Help,
    Run(Options),
}

pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Action, Error> {
    let mut options = Options::default();
    for argument in arguments {
        match argument.to_str() {
            Some("--fresh") => options.fresh = true,
            Some("--cors") => options.cors = true,
            Some("--verbose") => options.verbose = true,
            Some("-h" | "--help") => return Ok(Action::Help),
            _ => {
                return Err(Error::new(
                    format!("`{}` is not an option of `cargo dev`.", argument.display()),
                    "The options are --fresh, --cors, --verbose, and --help, which describes them.",
                ));
            }
        }
    }
    Ok(Action::Run(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Action, Error> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn every_option_is_off_by_default() {
        assert_eq!(parsed(&[]).unwrap(), Action::Run(Options { fresh: false, cors: false, verbose: false }));
    }

    #[test]
    fn each_option_turns_on_its_own_flag() {
        let run = |arguments: &[&str]| parsed(arguments).unwrap();
        assert_eq!(run(&["--fresh"]), Action::Run(Options { fresh: true, ..Options::default() }));
        assert_eq!(run(&["--cors"]), Action::Run(Options { cors: true, ..Options::default() }));
        assert_eq!(run(&["--verbose"]), Action::Run(Options { verbose: true, ..Options::default() }));
        assert_eq!(
            run(&["--cors", "--fresh", "--verbose"]),
            Action::Run(Options { fresh: true, cors: true, verbose: true })
        );
    }

    #[test]
    fn help_takes_precedence() {
        assert_eq!(parsed(&["--fresh", "-h"]).unwrap(), Action::Help);
    }

    #[test]
    fn an_unknown_option_is_an_error_that_lists_the_options() {
        let error = parsed(&["--reset"]).unwrap_err().to_string();
        assert!(error.contains("`--reset`") && error.contains("--fresh"), "{error}");
    }
}
