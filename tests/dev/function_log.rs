//! Selects from the output of `cargo lambda watch` what a developer needs: one line for each request, warnings and errors,
//! the output of `println!`, and compiler errors. The messages of cargo and cargo-lambda stay in the log file.

use std::time::Duration;

use ::tests::process::is_stopping;

use crate::screen::{Color, Screen, Step, duration};

/// Messages of cargo that say what it is doing. `Compiling` is not one of them.
const CARGO_MESSAGES: [&str; 13] = [
    "Adding",
    "Blocking",
    "Building",
    "Checking",
    "Dirty",
    "Downloaded",
    "Downloading",
    "Finished",
    "Fresh",
    "Locking",
    "Removing",
    "Running",
    "Updating",
];

/// The warning of a function that cargo-lambda stops because its source has changed.
const STOPPED_FUNCTION: &str = "the environment ended";

/// What to do with a line of output.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Request(Request<'a>),
    /// A warning or an error of a function or of cargo-lambda.
    Problem(&'a str),
    /// Cargo has started to compile a package.
    Compiling(&'a str),
    /// Cargo has built a function.
    Finished,
    /// The first line of a compiler warning, which ends with an empty line.
    CompilerWarning,
    /// Cargo could not build a function.
    CompilerFailed(&'a str),
    Empty,
    Message,
    Other(&'a str),
}

/// The line that a function logs for each request.
#[derive(Debug, PartialEq)]
struct Request<'a> {
    method: &'a str,
    /// The path of the route, as in `/api/data/{key+}`.
    path: &'a str,
    status: u16,
    duration: Duration,
    /// The error code, as in `KEY_NOT_FOUND`.
    code: Option<&'a str>,
}

/// Shows the output of `cargo lambda watch` on a screen.
pub struct FunctionLog {
    screen: Screen,
    compiling: Option<Step>,
    in_compiler_warning: bool,
}

impl FunctionLog {
    pub fn new(screen: Screen) -> Self {
        Self { screen, compiling: None, in_compiler_warning: false }
    }

    pub fn show(&mut self, line: &str) {
        // Functions that are stopped log that their connections end.
        if is_stopping() {
            self.compiling = None;
            return;
        }
        match Line::parse(line) {
            Line::Request(request) => self.screen.print(&request.text(&self.screen)),
            Line::Problem(text) => self.screen.print(&self.screen.paint(Color::Yellow, text)),
            Line::Compiling(package) => {
                let label = format!("Compile {package}");
                match &self.compiling {
                    Some(step) => step.handle().set_label(label),
                    None => self.compiling = Some(self.screen.step(label)),
                }
            }
            Line::Finished => {
                if let Some(step) = self.compiling.take() {
                    step.done();
                }
            }
            Line::CompilerFailed(text) => {
                self.screen.print(text);
                if let Some(step) = self.compiling.take() {
                    step.fail();
                }
            }
            Line::CompilerWarning => self.in_compiler_warning = true,
            Line::Empty => self.in_compiler_warning = false,
            Line::Other(text) if !self.in_compiler_warning => self.screen.print(text),
            Line::Message | Line::Other(_) => {}
        }
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        if let Some(entry) = log_entry(line) {
            return match entry.split_once(' ') {
                Some(("ERROR" | "WARN", text)) if !text.contains(STOPPED_FUNCTION) => Self::Problem(entry),
                _ => Request::parse(entry).map_or(Self::Message, Self::Request),
            };
        }
        // cargo-lambda logs without a time.
        let text = line.trim_start();
        match text.split_once(' ') {
            _ if text.is_empty() => Self::Empty,
            Some(("ERROR" | "WARN", _)) => Self::Problem(text),
            Some(("INFO" | "DEBUG" | "TRACE", _)) => Self::Message,
            Some(("Compiling", package)) if line.starts_with(' ') => {
                Self::Compiling(package.split(' ').next().unwrap_or(package))
            }
            Some(("Finished", _)) if line.starts_with(' ') => Self::Finished,
            Some((verb, _)) if line.starts_with(' ') && CARGO_MESSAGES.contains(&verb) => Self::Message,
            _ if line.starts_with("warning: ") => Self::CompilerWarning,
            _ if line.starts_with("error: could not compile") => Self::CompilerFailed(line),
            _ => Self::Other(line),
        }
    }
}

/// The level and the rest of a line that a function logs: `2026-11-27T04:35:10.371191Z  INFO …`.
fn log_entry(line: &str) -> Option<&str> {
    let (time, rest) = line.split_once("Z ")?;
    let is_time =
        time.len() >= 19 && time.starts_with(|first: char| first.is_ascii_digit()) && time.as_bytes()[10] == b'T';
    is_time.then(|| rest.trim_start())
}

impl<'a> Request<'a> {
    /// Reads `INFO request{route="GET /api/data/{key+}" …}: request method="GET" status=404 code="…" duration_ms=3.6 …`.
    fn parse(entry: &'a str) -> Option<Self> {
        let (span, fields) = entry.split_once("}: request method=")?;
        let (_method, path) = between(span, "route=\"", "\"")?.split_once(' ')?;
        let milliseconds: f64 = between(fields, " duration_ms=", " ")?.parse().ok()?;
        Some(Self {
            method: between(fields, "\"", "\"")?,
            path,
            status: between(fields, " status=", " ")?.parse().ok()?,
            duration: Duration::try_from_secs_f64(milliseconds / 1000.0).ok()?,
            code: between(fields, " code=\"", "\""),
        })
    }

    fn text(&self, screen: &Screen) -> String {
        let Self { method, path, status, duration, code } = self;
        let color = match status {
            0..400 => Color::Green,
            400..500 => Color::Yellow,
            500.. => Color::Red,
        };
        let status = screen.paint(color, &status.to_string());
        let (time, code) = (short_duration(*duration), code.unwrap_or_default());
        format!("{method:<6} {path:<25} {status}  {time:>8}  {code}").trim_end().to_owned()
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after).map_or(rest, |(value, _)| value))
}

/// The time of a request, as in `3.6 ms` or `399 ms`.
fn short_duration(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    match milliseconds {
        ..10.0 => format!("{milliseconds:.1} ms"),
        10.0..10_000.0 => format!("{milliseconds:.0} ms"),
        _ => duration(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = r#"2026-11-27T04:35:19.596626Z  INFO request{route="GET /api/data/{key+}" request_id="d2e4"}: request method="HEAD" status=404 code="KEY_NOT_FOUND" duration_ms=3.599 db_ms=3.233 cold_start=true"#;

    #[test]
    fn the_line_of_a_failed_request_is_read() {
        let request = Request {
            method: "HEAD",
            path: "/api/data/{key+}",
            status: 404,
            duration: Duration::from_micros(3599),
            code: Some("KEY_NOT_FOUND"),
        };
        assert_eq!(Line::parse(REQUEST), Line::Request(request));
    }

    #[test]
    fn a_successful_request_has_no_code() {
        let line = REQUEST.replace(r#" code="KEY_NOT_FOUND""#, "").replace("404", "200");
        let Line::Request(request) = Line::parse(&line) else { panic!("{line}") };
        assert_eq!((request.status, request.code), (200, None));
    }

    #[test]
    fn warnings_and_errors_are_shown_and_events_are_not() {
        let line =
            r#"2026-11-27T04:35:20.990852Z  WARN request{route="POST /api/token"}: event="password.wrong" failures=1"#;
        let Line::Problem(text) = Line::parse(line) else { panic!("{line}") };
        assert!(text.starts_with("WARN request{route="), "{text}");
        assert!(matches!(
            Line::parse("2026-11-27T04:35:20.990852Z ERROR the function failed to start: why"),
            Line::Problem(_)
        ));
        assert!(matches!(Line::parse(r#"ERROR error during spawn"#), Line::Problem(_)));
        assert_eq!(
            Line::parse(r#"2026-11-27T04:35:20.990852Z  INFO request{}: event="session.started""#),
            Line::Message
        );
    }

    #[test]
    fn the_end_of_a_replaced_function_is_not_a_warning() {
        let line = "2026-11-27T04:35:48.936388Z  WARN the environment ended: client error (SendRequest)";
        assert_eq!(Line::parse(line), Line::Message);
    }

    #[test]
    fn messages_of_cargo_and_cargo_lambda_are_recognised() {
        for line in [
            "    Blocking waiting for file lock on package cache",
            "     Running `target/debug/data-get`",
            r#" INFO spawning function instance function="data-get""#,
        ] {
            assert_eq!(Line::parse(line), Line::Message, "{line}");
        }
        assert_eq!(
            Line::parse("   Compiling data-get v0.1.0 (/keyhold/functions/data-get)"),
            Line::Compiling("data-get")
        );
        assert_eq!(
            Line::parse("    Finished `dev` profile [unoptimized + debuginfo] target(s) in 0.66s"),
            Line::Finished
        );
        assert_eq!(Line::parse("warning: unused variable: `x`"), Line::CompilerWarning);
    }

    #[test]
    fn compiler_errors_and_printed_lines_are_shown() {
        for line in ["error[E0308]: mismatched types", " --> functions/data-get/src/lib.rs:17:5", "Finished counting"] {
            assert_eq!(Line::parse(line), Line::Other(line));
        }
    }

    #[test]
    fn short_times_have_a_decimal() {
        let texts = [3.599, 398.573, 12_345.0].map(|ms| short_duration(Duration::from_secs_f64(ms / 1000.0)));
        assert_eq!(texts, ["3.6 ms", "399 ms", "12.3 s"]);
    }
}
