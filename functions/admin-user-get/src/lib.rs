//! `GET /api/admin/users/{id}`: read an account, for operators.

use shared::App;
use shared::db::{Role, operators};
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};
use shared::secrets::NoKeys;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/admin/users/{id}");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::AdminReader;

/// Returns 200 with the account and what it uses.
pub async fn handle(app: App<NoKeys>, request: Request) -> Result<Reply, ApiError> {
    let operator = app.operator(&request)?;
    let user = http::user_id(&request)?;
    let account = operators::find(app.db(), user, app.now()).await?.ok_or(ApiError::UserNotFound)?;
    operator.record("user.get", Some(user));
    Ok(Reply::data(&account))
}
