//! Log, metrics, and traces. This module knows neither HTTP nor SQL: routes and error codes are passed as text.
//!
//! The log consists of JSON lines in Lambda and of text elsewhere. It never contains a body, a token, a password, or an
//! email address.

#[cfg(feature = "otlp")]
pub(crate) mod otlp;
pub(crate) mod request_line;
pub(crate) mod spans;
pub(crate) mod stats;
pub(crate) mod xray;

use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use crate::env;

/// The target of all spans. The log ignores it.
const SPAN_TARGET: &str = "traces";

static JSON: OnceLock<bool> = OnceLock::new();

/// Sets up the log on standard output, the export of traces, and the logging of panics. Later calls have no effect.
///
/// Lambda's logging controls set `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`. The level applies to this crate.
/// Libraries are limited to warnings, because at lower levels they log their inputs, including secrets.
pub fn init() {
    let level = env::optional("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("shared", level);
    let format = tracing_subscriber::fmt::layer().with_target(false);
    let json = env::optional("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json"));
    let _ = JSON.set(json);
    #[cfg(feature = "otlp")]
    let (registry, export) = otlp::registry();
    #[cfg(not(feature = "otlp"))]
    let registry = tracing_subscriber::registry();
    // Fails only if a subscriber is installed already.
    let _ = if json {
        let format = format.json().flatten_event(true).with_span_list(false);
        tracing::subscriber::set_global_default(registry.with(format.with_filter(filter)))
    } else {
        tracing::subscriber::set_global_default(registry.with(format.with_filter(filter)))
    };
    #[cfg(feature = "otlp")]
    if let Err(error) = export {
        // Requests are served without traces.
        tracing::error!("traces cannot be exported: {}", crate::report::chain(error.as_ref()));
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "panic: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
}

/// Whether the log consists of JSON lines.
pub(crate) fn is_json() -> bool {
    JSON.get().is_some_and(|json| *json)
}
