//! The log: one line for each event, JSON in Lambda and text elsewhere.
//!
//! `tracing-subscriber` is used only with the feature `otlp`: without it, a request needs no span of its own for the log. The
//! line of an event takes the route and the id of the request from [`stats`] instead.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use super::stats;
use crate::clock::{Clock, SystemClock};
use crate::domain::rfc3339;

/// Writes events to standard output.
#[derive(Clone, Copy)]
pub(super) struct Log {
    /// The least severe level of events of this crate that are logged.
    pub(super) level: LevelFilter,
    /// Whether lines are JSON.
    pub(super) json: bool,
}

impl Log {
    /// Whether an event is logged. Libraries are limited to warnings, because at lower levels they log their inputs,
    /// including secrets.
    pub(super) fn logs(self, metadata: &Metadata<'_>) -> bool {
        let is_own = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
        let level = if is_own { self.level } else { self.level.min(LevelFilter::WARN) };
        metadata.is_event() && *metadata.level() <= level
    }

    pub(super) fn write(self, event: &Event<'_>) {
        let level = event.metadata().level().as_str();
        let timestamp = rfc3339::text(SystemClock.now());
        let line = if self.json { json_line(event, level, &timestamp) } else { text_line(event, level, &timestamp) };
        write_line(line.as_bytes());
    }
}

/// Writes a line that ends with a newline in one system call, so that lines of concurrent requests are not mixed.
pub(super) fn write_line(line: &[u8]) {
    // `println!` would panic if standard output is closed.
    let _ = std::io::stdout().write_all(line);
}

fn json_line(event: &Event<'_>, level: &str, timestamp: &str) -> String {
    let mut line = JsonLine(String::from("{"));
    line.add("timestamp", &timestamp);
    line.add("level", &level);
    event.record(&mut line);
    stats::with_request(|request| {
        line.add("route", &request.route);
        line.add("request_id", &request.request_id);
    });
    line.0 + "}\n"
}

/// A JSON object without its end.
struct JsonLine(String);

impl JsonLine {
    fn add(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        let separator = if self.0.len() > 1 { "," } else { "" };
        // Strings, numbers, and booleans can be serialized.
        let (name, value) = (serde_json::to_string(name), serde_json::to_string(value));
        self.0.extend([separator, &name.unwrap_or_default(), ":", &value.unwrap_or_default()]);
    }
}

impl Visit for JsonLine {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), &value);
    }
}

/// Makes a line such as `2026-11-23T09:30:00.000Z  INFO request{route="GET /api/health" request_id="a1"}: message a=1 b="c"`.
fn text_line(event: &Event<'_>, level: &str, timestamp: &str) -> String {
    let mut line = TextLine(format!("{timestamp} {level:>5}"));
    stats::with_request(|request| {
        let (route, request_id) = (&request.route, &request.request_id);
        line.push(format_args!(" request{{route={route:?} request_id={request_id:?}}}:"));
    });
    event.record(&mut line);
    line.0 + "\n"
}

struct TextLine(String);

impl TextLine {
    fn push(&mut self, text: fmt::Arguments<'_>) {
        // Fails only if a value cannot be formatted. The rest of the line is kept.
        let _ = self.0.write_fmt(text);
    }
}

impl Visit for TextLine {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.push(format_args!(" {value:?}")),
            name => self.push(format_args!(" {name}={value:?}")),
        }
    }
}

impl Subscriber for Log {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.logs(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logs(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        self.write(event);
    }

    // No span is enabled.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The log beside the export of traces.
#[cfg(feature = "otlp")]
impl<S: Subscriber> tracing_subscriber::Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        self.write(event);
    }
}
