//! `GET /api/health`: the service is there.

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

/// Answers 200, whatever is the matter with the database, with what was deployed.
pub async fn handle((): (), _: Request) -> Result<Reply, ApiError> {
    Ok(Reply::ok().message("Alive").data(&Health { version: env!("CARGO_PKG_VERSION"), commit: env!("COMMIT") }))
}
