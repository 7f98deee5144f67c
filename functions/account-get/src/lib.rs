//! `GET /api/account`: the caller's own account.

use shared::App;
use shared::db;
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::get("/api/account");

/// Answers 200 with the account.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    Ok(Reply::ok().data(&db::users::find(app.db(), session, app.now()).await?))
}
