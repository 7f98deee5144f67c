//! Rotates the keys that sign access tokens. Secrets Manager invokes this function on the schedule of the secret, once
//! for each step of the rotation; it has no route.

use shared::clock::{Clock, SystemClock};
use shared::report::BoxError;
use shared::runtime::Invocation;
use shared::secrets::rotation::{self, Request};

/// Runs the step that the event names.
///
/// # Errors
/// The event is not a rotation step, or the step failed. Secrets Manager retries the rotation.
pub async fn handle(invocation: Invocation) -> Result<(), BoxError> {
    let request: Request = serde_json::from_str(&invocation.event)
        .map_err(|error| format!("the event is not a rotation step of Secrets Manager: {error}"))?;
    // Boxed, because the compiler makes one type of nested futures and fails if they are nested too deeply.
    Ok(Box::pin(rotation::rotate(&request, SystemClock.now())).await?)
}
