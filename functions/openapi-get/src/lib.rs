//! `GET /api/openapi.json`: the API as OpenAPI 3.1 describes it.

use std::time::Duration;

use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::get("/api/openapi.json");

/// The document. Tests hold it against the routes, the codes, and every answer that they see.
pub const DOCUMENT: &str = include_str!("../openapi.json");

/// How long it may be kept: it changes with a deployment.
const MAX_AGE: Duration = Duration::from_secs(300);

/// Answers 200 with the document as it is.
pub async fn handle((): (), _: Request) -> Result<Reply, ApiError> {
    Ok(Reply::document_text(DOCUMENT, MAX_AGE))
}
