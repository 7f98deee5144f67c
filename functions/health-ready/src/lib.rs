//! `GET /api/health/ready`: check that the database answers.

use shared::App;
use shared::db::{self, Role};
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};
use shared::secrets::NoKeys;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/health/ready");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Monitor;

/// Returns 200 if the database answers within two seconds, and 503 otherwise.
pub async fn handle(app: App<NoKeys>, _: Request) -> Result<Reply, ApiError> {
    db::ping(app.db()).await?;
    Ok(Reply::message("Ready"))
}
