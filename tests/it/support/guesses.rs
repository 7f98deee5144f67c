//! Guesses at passwords, and limits for each network.

use std::sync::Arc;
use std::time::Duration;

use shared::settings::{Limits, Settings};

use super::{Client, Service, database, settings};

/// The service with limits for each network.
pub fn limited(failed_sign_ins: u32, registrations: u32) -> Arc<Service> {
    Service::new(
        database(),
        Settings { limits: Limits { failed_sign_ins, registrations, ..settings().limits }, ..settings() },
    )
}

/// An address from which the user has not signed in.
pub const OTHER_ADDRESS: &str = "198.51.100.7";

/// An address of a network of its own.
pub fn address(number: u32) -> String {
    format!("203.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255)
}

/// Sends a wrong password and returns the outcome.
pub async fn guess(client: &Client, name: &str) -> String {
    let response = client.token_for(name, "a wrong guess").await;
    match response.header("retry-after") {
        Some(seconds) => format!("{}, {seconds} s", response.outcome()),
        None => response.outcome(),
    }
}

/// A number of seconds as a duration.
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
