//! `GET /api/health`: report that the service is alive.

use serde::Serialize;
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::get("/api/health");

#[derive(Serialize)]
struct Health {
    version: &'static str,
    commit: &'static str,
}

/// Returns 200 with the deployed version. It does not look at the database.
#[expect(clippy::unused_async, reason = "the runtime awaits handlers")]
pub async fn handle((): (), _: Request) -> Result<Reply, ApiError> {
    Ok(Reply::message_and_data("Alive", &Health { version: env!("CARGO_PKG_VERSION"), commit: env!("COMMIT") }))
}
