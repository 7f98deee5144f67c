//! `GET /api/openapi.json`: return the OpenAPI 3.1 document of the API.

use std::time::Duration;

use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/openapi.json").with_entity_tags();

/// The OpenAPI document. Tests compare it with the routes, the error codes, and all responses that they get.
pub const DOCUMENT: &str = include_str!("../openapi.json");

/// Time for which caches may keep the document. It limits how long an old one is used after a deployment.
const MAX_AGE: Duration = Duration::from_mins(5);

/// Returns 200 with the document, or 304 if `If-None-Match` names it.
#[expect(clippy::unused_async, reason = "the runtime awaits handlers")]
pub async fn handle((): (), request: Request) -> Result<Reply, ApiError> {
    Reply::document(&request, DOCUMENT.to_owned(), MAX_AGE)
}
