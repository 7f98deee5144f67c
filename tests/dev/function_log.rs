//! Selects from the output of `cargo lambda watch` what a developer needs: one line for each request, warnings and errors,
//! the output of `println!`, and compiler errors. The messages of cargo and cargo-lambda stay in the log file.

use std::{
    mem,
    time::{Duration, Instant},
};

use ::tests::process::is_stopping;

use crate::screen::{Color, Screen, Step, duration};

/// Messages of cargo that say what it is doing, apart from `Compiling` and `Finished`.
const CARGO_MESSAGES: [&str; 12] = [
    "Adding",
    "Blocking",
    "Building",
    "Checking",
    "Dirty",
    "Downloaded",
    "Downloading",
    "Fresh",
    "Locking",
    "Removing",
    "Running",
    "Updating",
];

/// Parts of cargo's messages. Cargo writes the first word separately, so other processes may write between it and these.
const PARTS_OF_CARGO_MESSAGES: [&str; 2] = [" waiting for file lock on ", " `target/debug/"];
const PART_OF_FINISHED: &str = " target(s) in ";

/// Consequences of a changed source file or of a compiler error: cargo-lambda stops the function, whose connection to it ends,
/// or cargo fails.
const CONSEQUENCES: [&str; 3] = ["command killed code=ForceStop", "command exited code=101", "the environment ended"];

/// A function logs these for the event that starts it, which is not a request.
const WOKEN: [&str; 2] = ["the event is not a request of an HTTP API", r#"request method="unknown""#];

/// cargo-lambda logs this for a request without a route, with a list of all functions.
const NO_ROUTE: &str = "the default function route is disabled";

/// Every process of a function, and every function after a change of `shared`, reports a compiler error again in this time.
const SAME_ERROR_TIME: Duration = Duration::from_secs(5);

/// A line of the output.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Request(Request<'a>),
    /// A request that no route matches. It reaches no function.
    NoRoute,
    /// A warning or an error of a function or of cargo-lambda.
    Problem(&'a str),
    /// Cargo has started to compile a package.
    Compiling(&'a str),
    /// Cargo has built a function.
    Finished,
    /// The first line of a compiler warning, which ends with an empty line.
    CompilerWarning,
    /// The first line of a compiler error.
    CompilerError,
    /// The last line of the compiler errors of a package.
    CompilerFailed,
    Empty,
    /// A message that only the log file needs.
    Message,
    Other,
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
    /// The lines of a compiler error that is not complete.
    compiler_error: Vec<String>,
    shown_error: Option<(Vec<String>, Instant)>,
}

impl FunctionLog {
    pub fn new(screen: Screen) -> Self {
        Self { screen, compiling: None, in_compiler_warning: false, compiler_error: Vec::new(), shown_error: None }
    }

    pub fn show(&mut self, line: &str) {
        // Functions that are stopped log that their connections end.
        if is_stopping() {
            self.compiling = None;
            return;
        }
        let kind = Line::parse(line);
        if !matches!(kind, Line::Other | Line::Request(_)) {
            self.in_compiler_warning = kind == Line::CompilerWarning;
        }
        match kind {
            Line::Request(request) => self.screen.print(&request.text(&self.screen)),
            Line::NoRoute => {
                let status = self.screen.paint(Color::Yellow, "404");
                self.screen.print(&format!("{:<32} {status}", "(no route matches)"));
            }
            Line::Problem(text) => {
                self.show_compiler_error();
                self.screen.print(&self.screen.paint(Color::Yellow, text));
            }
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
            Line::CompilerError => self.compiler_error.push(line.to_owned()),
            Line::CompilerFailed => {
                self.compiler_error.push(line.to_owned());
                self.show_compiler_error();
            }
            Line::Empty | Line::Other if !self.compiler_error.is_empty() => self.compiler_error.push(line.to_owned()),
            Line::Other if !self.in_compiler_warning => self.screen.print(line),
            Line::CompilerWarning | Line::Empty | Line::Message | Line::Other => {}
        }
    }

    /// Shows the lines of a compiler error, once if it is repeated.
    fn show_compiler_error(&mut self) {
        let error = mem::take(&mut self.compiler_error);
        if error.is_empty() {
            return;
        }
        let step = self.compiling.take();
        let is_repeated =
            self.shown_error.as_ref().is_some_and(|(shown, time)| *shown == error && time.elapsed() < SAME_ERROR_TIME);
        if !is_repeated {
            for line in &error {
                self.screen.print(line);
            }
            if let Some(step) = step {
                step.fail();
            }
        }
        self.shown_error = Some((error, Instant::now()));
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        // cargo-lambda logs without a time.
        let text = log_entry(line).unwrap_or(line).trim_start();
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let is_cargo_message = line.starts_with(' ');
        match word {
            "" => Self::Empty,
            _ if WOKEN.iter().any(|part| text.contains(part)) => Self::Message,
            "ERROR" if text.contains(NO_ROUTE) => Self::NoRoute,
            "ERROR" | "WARN" if CONSEQUENCES.iter().any(|consequence| text.contains(consequence)) => Self::Message,
            "ERROR" | "WARN" => Self::Problem(text),
            "INFO" | "DEBUG" | "TRACE" => Request::parse(text).map_or(Self::Message, Self::Request),
            "Compiling" if is_cargo_message => Self::Compiling(rest.split(' ').next().unwrap_or(rest)),
            _ if line.contains(PART_OF_FINISHED) => Self::Finished,
            _ if is_cargo_message && CARGO_MESSAGES.contains(&word) => Self::Message,
            _ if PARTS_OF_CARGO_MESSAGES.iter().any(|part| line.contains(part)) => Self::Message,
            _ if line.starts_with("warning: ") => Self::CompilerWarning,
            _ if line.starts_with("error: could not compile") => Self::CompilerFailed,
            _ if line.starts_with("error: ") || line.starts_with("error[") => Self::CompilerError,
            _ => Self::Other,
        }
    }
}

/// The level and the rest of what a function logs after a time such as `2026-11-27T04:35:10.371Z`, which may follow an
/// incomplete message of cargo.
fn log_entry(line: &str) -> Option<&str> {
    const TIME_LENGTH: usize = "2026-11-27T04:35:10.371".len();
    line.match_indices("Z ").find_map(|(end, _)| {
        let time = line.get(end.checked_sub(TIME_LENGTH)?..end)?.as_bytes();
        (time[0].is_ascii_digit() && time[10] == b'T').then(|| line[end + 1..].trim_start())
    })
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

    const REQUEST: &str = r#"2026-11-27T04:35:19.596Z  INFO request{route="GET /api/data/{key+}" request_id="d2e4"}: request method="HEAD" status=404 code="KEY_NOT_FOUND" duration_ms=3.599 db_ms=3.233 cold_start=true"#;

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
            r#"2026-11-27T04:35:20.990Z  WARN request{route="POST /api/token"}: event="password.wrong" failures=1"#;
        let Line::Problem(text) = Line::parse(line) else { panic!("{line}") };
        assert!(text.starts_with("WARN request{route="), "{text}");
        assert!(matches!(
            Line::parse("2026-11-27T04:35:20.990Z ERROR the function failed to start: why"),
            Line::Problem(_)
        ));
        assert!(matches!(Line::parse("ERROR error during spawn"), Line::Problem(_)));
        assert_eq!(Line::parse(r#"2026-11-27T04:35:20.990Z  INFO request{}: event="session.started""#), Line::Message);
    }

    #[test]
    fn the_start_of_a_function_is_not_shown() {
        let unknown = REQUEST.replace(r#"method="HEAD""#, r#"method="unknown""#);
        assert_ne!(unknown, REQUEST);
        assert_eq!(Line::parse(&unknown), Line::Message);
        let line = "2026-11-27T04:35:48.936Z  WARN request{}: the event is not a request of an HTTP API with payload format 2.0";
        assert_eq!(Line::parse(line), Line::Message);
    }

    #[test]
    fn the_end_of_a_replaced_function_is_not_a_warning() {
        for line in [
            "2026-11-27T04:35:48.936Z  WARN the environment ended: client error (SendRequest)",
            "ERROR command killed code=ForceStop",
        ] {
            assert_eq!(Line::parse(line), Line::Message, "{line}");
        }
    }

    #[test]
    fn a_request_within_a_message_of_cargo_is_found() {
        let line = format!("    Finished{REQUEST}");
        assert!(matches!(Line::parse(&line), Line::Request(_)), "{line}");
        let rest = " `dev` profile [unoptimized + debuginfo] target(s) in 8.53s";
        assert_eq!(Line::parse(rest), Line::Finished);
        assert_eq!(Line::parse(" waiting for file lock on package cache"), Line::Message);
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
        let line =
            r#"ERROR available_functions={"token"} detail="the default function route is disabled, use /lambda-url""#;
        assert_eq!(Line::parse(line), Line::NoRoute);
        assert_eq!(Line::parse("warning: unused variable: `x`"), Line::CompilerWarning);
    }

    #[test]
    fn compiler_errors_and_printed_lines_are_shown() {
        assert_eq!(Line::parse("error[E0308]: mismatched types"), Line::CompilerError);
        assert_eq!(Line::parse("error: could not compile `data-get` (lib)"), Line::CompilerFailed);
        for line in ["  --> functions/data-get/src/lib.rs:17:5", "Finished counting", "[src/lib.rs:3:5] key = 7"] {
            assert_eq!(Line::parse(line), Line::Other, "{line}");
        }
    }

    #[test]
    fn short_times_have_a_decimal() {
        let texts = [3.599, 398.573, 12_345.0].map(|ms| short_duration(Duration::from_secs_f64(ms / 1000.0)));
        assert_eq!(texts, ["3.6 ms", "399 ms", "12.3 s"]);
    }
}
