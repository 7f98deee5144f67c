//! `GET /api/health/ready`: the service can work.

use shared::App;
use shared::db;
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};
use shared::secrets::NoKeys;

/// The route.
pub const ROUTE: Route = Route::get("/api/health/ready");

/// Answers 200 if the database answers within two seconds, and 503 if it does not.
pub async fn handle(app: App<NoKeys>, _: Request) -> Result<Reply, ApiError> {
    db::ping(app.db()).await?;
    Ok(Reply::ok().message("Ready"))
}
