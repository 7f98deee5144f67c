//! What the person asked for.

use std::ffi::OsString;

use ::tests::Error;

pub const HELP: &str = "\
Runs the service on this machine until Ctrl-C: PostgreSQL, the migrations and
every function behind its route, on http://localhost:9000.

Usage: cargo dev [--fresh] [--cors]

Options:
  --fresh     Begin again with an empty database and a new JWT secret
  --cors      Let web pages of any other origin call the API, as those of a
              front end under development
  -h, --help  Say this

Variables:
  PORT          The port, instead of 9000
  DATABASE_URL  A PostgreSQL to use instead of the one started here; --fresh
                leaves it alone
  JWT_SECRET    The secret to sign tokens with, instead of a generated one

Every other variable reaches the functions as it is.
";

/// How to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether to begin again with nothing.
    pub fresh: bool,
    /// Whether browsers may let any page read the answers.
    pub cors: bool,
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
            Some("-h" | "--help") => return Ok(Action::Help),
            _ => {
                return Err(Error::new(
                    format!("`{}` is no option of cargo dev.", argument.display()),
                    "`cargo dev --help` lists them.",
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
    fn data_is_kept_unless_asked_otherwise() {
        assert_eq!(parsed(&[]).unwrap(), Action::Run(Options::default()));
        assert_eq!(parsed(&["--fresh"]).unwrap(), Action::Run(Options { fresh: true, cors: false }));
    }

    #[test]
    fn other_origins_are_let_in_only_when_asked() {
        assert_eq!(parsed(&["--cors"]).unwrap(), Action::Run(Options { fresh: false, cors: true }));
    }

    #[test]
    fn help_wins_over_everything() {
        assert_eq!(parsed(&["--fresh", "-h"]).unwrap(), Action::Help);
    }

    #[test]
    fn an_unknown_option_is_refused() {
        assert!(parsed(&["--reset"]).is_err());
    }
}
