//! Error chains: the one place that prints them.

use std::error::Error;

/// An error of any type, for code that only reports it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Formats an error and its sources in one line, separated by `: `.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some libraries include their source in their own text.
        if !line.ends_with(&text) {
            line.extend([": ", &text]);
        }
        source = cause.source();
    }
    line
}
