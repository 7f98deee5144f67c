//! Rotates the keys that access tokens are signed with. Not a route: Secrets Manager invokes it on the secret's schedule, once
//! for each step.

use shared::clock::{Clock, SystemClock};
use shared::error::BoxError;
use shared::runtime::Invocation;
use shared::secrets::rotation::{self, Request};

/// Does the step that the event asks for.
///
/// # Errors
/// The event is none of Secrets Manager's, or the step could not be done: Secrets Manager asks again.
pub async fn handle(invocation: Invocation) -> Result<(), BoxError> {
    let request: Request = serde_json::from_str(&invocation.event)
        .map_err(|error| format!("the event is no step of a rotation by Secrets Manager: {error}"))?;
    // Boxed: the compiler lays out nested futures as one, and gives up where they are nested too deep.
    Ok(Box::pin(rotation::rotate(&request, SystemClock.now())).await?)
}
