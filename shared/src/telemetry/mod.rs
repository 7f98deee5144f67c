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
use crate::env;

/// The target of all spans. The log ignores it.
const SPAN_TARGET: &str = "traces";

static JSON: OnceLock<bool> = OnceLock::new();

/// Sets up the log on standard output, the export of traces, and the logging of panics. Later calls have no effect.
///
/// Lambda's logging controls set `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`. The level applies to this crate.
pub fn init() {
    let level = env::optional("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let json = env::optional("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json"));
    let _ = JSON.set(json);
    let log = Log { level, json };
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
}

/// Whether the log consists of JSON lines.
pub(crate) fn is_json() -> bool {
    JSON.get().is_some_and(|json| *json)
}
