//! `GET /api/account`: read the caller's account.

use shared::App;
use shared::db::{self, Role};
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/account");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Accounts;

/// Returns 200 with the account.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    Ok(Reply::data(&db::users::find(app.db(), session, app.now()).await?))
}
