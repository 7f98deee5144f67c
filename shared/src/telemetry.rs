//! The log: events as JSON lines in Lambda, as text elsewhere. Never a body, a token, a password or an address.

use std::error::Error as StdError;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;

use crate::config;

/// Sends events to standard output and panics into the log. Safe to repeat.
///
/// Lambda's logging controls set `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`. The level is this crate's: libraries
/// log what they are handed, which is what must not be logged, and are heard only where they warn.
pub fn init() {
    let level =
        config::optional("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("shared", level);
    let format = tracing_subscriber::fmt::layer().with_target(false);
    let json = config::optional("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json"));
    let _ = JSON.set(json);
    #[cfg(feature = "otlp")]
    let (registry, export) = crate::traces::otlp::registry();
    #[cfg(not(feature = "otlp"))]
    let registry = tracing_subscriber::registry();
    // Only fails where a subscriber is installed already.
    let _ = if json {
        let format = format.json().flatten_event(true).with_span_list(false);
        tracing::subscriber::set_global_default(registry.with(format.with_filter(filter)))
    } else {
        tracing::subscriber::set_global_default(registry.with(format.with_filter(filter)))
    };
    #[cfg(feature = "otlp")]
    if let Err(error) = export {
        // Whoever watches over the service misses the traces; its users miss nothing.
        tracing::error!("there will be no traces: {}", chain(error.as_ref()));
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
}

static JSON: OnceLock<bool> = OnceLock::new();

/// Whether the log is JSON lines.
pub(crate) fn is_json() -> bool {
    JSON.get().is_some_and(|json| *json)
}

/// An error and everything below it in one line. The only place that prints a chain.
pub fn chain(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some libraries print their cause themselves.
        if !line.ends_with(&text) {
            line.extend([": ", &text]);
        }
        source = cause.source();
    }
    line
}
