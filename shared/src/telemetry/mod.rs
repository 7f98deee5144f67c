//! Log, metrics, and traces. This module knows neither HTTP nor SQL: routes and error codes are passed as text.
//!
//! The log consists of JSON lines in Lambda and of text elsewhere. It never contains a body, a token, a password, or an
//! email address.

mod log;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
pub(crate) mod request_line;
pub(crate) mod spans;
pub(crate) mod stats;
pub(crate) mod xray;

use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;

use self::log::Log;
use crate::env::{self, EnvError};

/// The target of all spans. The log ignores it.
const SPAN_TARGET: &str = "traces";

static JSON: OnceLock<bool> = OnceLock::new();

/// Sets up the log on standard output, the export of traces, and the logging of panics. Later calls have no effect.
///
/// Lambda sets `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`, above which it drops lines. `LOG_LEVEL` limits the lines of
/// this crate, except for those of requests, which contain the metrics.
///
/// # Errors
/// A level or the format is unknown, or the namespace of the metrics is invalid. The log is set up nevertheless, so that the error can be logged.
pub fn init() -> Result<(), EnvError> {
    let (level, format) = (level(), env::choice("AWS_LAMBDA_LOG_FORMAT", &[("Text", false), ("JSON", true)]));
    let json = *format.as_ref().unwrap_or(&true);
    let _ = JSON.set(json);
    let log = Log { level: *level.as_ref().unwrap_or(&LevelFilter::INFO), json };
    #[cfg(feature = "otlp")]
    if let Err(error) = otlp::init(log) {
        // Requests are served without traces.
        tracing::error!("traces cannot be exported: {}", crate::report::chain(error.as_ref()));
    }
    // Fails only if a subscriber is installed already.
    #[cfg(not(feature = "otlp"))]
    let _ = tracing::subscriber::set_global_default(log);
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "panic: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
    level.and(format)?;
    #[cfg(feature = "otlp")]
    otlp::endpoint()?;
    request_line::check_namespace()
}

/// Reads the level.
fn level() -> Result<LevelFilter, EnvError> {
    const LEVELS: [(&str, LevelFilter); 6] = [
        ("INFO", LevelFilter::INFO),
        ("TRACE", LevelFilter::TRACE),
        ("DEBUG", LevelFilter::DEBUG),
        ("WARN", LevelFilter::WARN),
        ("ERROR", LevelFilter::ERROR),
        ("FATAL", LevelFilter::ERROR),
    ];
    let of_lambda = env::choice("AWS_LAMBDA_LOG_LEVEL", &LEVELS)?;
    if env::optional("LOG_LEVEL").is_some() { env::choice("LOG_LEVEL", &LEVELS) } else { Ok(of_lambda) }
}

/// Whether the log consists of JSON lines.
pub(crate) fn is_json() -> bool {
    JSON.get().is_some_and(|json| *json)
}
