//! `DELETE /api/admin/users/{id}`: delete an account and all its data, for operators.

use shared::App;
use shared::db::{Role, operators};
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};
use shared::secrets::NoKeys;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::delete("/api/admin/users/{id}");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::AdminEraser;

/// Deletes the account and returns 200.
pub async fn handle(app: App<NoKeys>, request: Request) -> Result<Reply, ApiError> {
    let operator = app.operator(&request)?;
    let user = http::user_id(&request)?;
    if !operators::delete(app.db(), user, app.now()).await? {
        return Err(ApiError::UserNotFound);
    }
    operator.record("user.delete", Some(user));
    Ok(Reply::message("Account deleted"))
}
