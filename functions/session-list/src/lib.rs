//! `GET /api/sessions`: list the caller's sessions.

use serde::Serialize;
use shared::App;
use shared::db::{self, Role};
use shared::domain::SessionInfo;
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/sessions");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Accounts;

#[derive(Serialize)]
struct Sessions {
    sessions: Vec<SessionInfo>,
}

/// Returns 200 with the sessions, newest first.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let sessions = db::sessions::list(app.db(), session, app.now()).await?;
    Ok(Reply::data(&Sessions { sessions }))
}
