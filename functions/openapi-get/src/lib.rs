//! `GET /api/openapi.json`: return the OpenAPI 3.1 document of the API.

use std::time::Duration;

use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::get("/api/openapi.json");

/// The document. Tests compare it with the routes, the codes, and every response that they see.
pub const DOCUMENT: &str = include_str!("../openapi.json");

/// Time for which caches may keep the document, which changes with a deployment.
const MAX_AGE: Duration = Duration::from_mins(5);

/// Returns 200 with the document.
#[expect(clippy::unused_async, reason = "the runtime awaits handlers")]
pub async fn handle((): (), _: Request) -> Result<Reply, ApiError> {
    Ok(Reply::document_text(DOCUMENT, MAX_AGE))
}
