//! Rotates the keys that sign access tokens. Not a route: Secrets Manager invokes it on the schedule of the secret, once for
//! each step.

use shared::clock::{Clock, SystemClock};
use shared::report::BoxError;
use shared::runtime::Invocation;
use shared::secrets::rotation::{self, Request};

/// Performs the step that the event names.
///
/// # Errors
/// The event is not a rotation step, or the step failed. Secrets Manager then retries.
pub async fn handle(invocation: Invocation) -> Result<(), BoxError> {
    let request: Request = serde_json::from_str(&invocation.event)
        .map_err(|error| format!("the event is not a rotation step of Secrets Manager: {error}"))?;
    // Boxed: the compiler lays out nested futures as one, and fails if they are nested too deep.
    Ok(Box::pin(rotation::rotate(&request, SystemClock.now())).await?)
}
