//! `DELETE /api/admin/users/{id}/sessions`: end all sessions of a user, for operators.

use serde::Serialize;
use shared::App;
use shared::db::{Role, operators};
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};
use shared::secrets::NoKeys;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::delete("/api/admin/users/{id}/sessions");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::AdminEditor;

#[derive(Serialize)]
struct Ended {
    /// Sessions that were ended.
    sessions: i64,
}

/// Ends all sessions and returns 200 with their number.
pub async fn handle(app: App<NoKeys>, request: Request) -> Result<Reply, ApiError> {
    let operator = app.operator(&request)?;
    let user = http::user_id(&request)?;
    let sessions = operators::end_sessions(app.db(), user, app.now()).await?.ok_or(ApiError::UserNotFound)?;
    operator.record("sessions.delete", Some(user));
    Ok(Reply::message_and_data("All sessions ended", &Ended { sessions }))
}
