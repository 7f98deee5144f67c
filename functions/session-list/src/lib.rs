//! `GET /api/sessions`: where the caller is signed in.

use serde::Serialize;
use shared::App;
use shared::db;
use shared::domain::SessionInfo;
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::get("/api/sessions");

#[derive(Serialize)]
struct Sessions {
    sessions: Vec<SessionInfo>,
}

/// Answers 200 with the caller's sessions, the newest first.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let sessions = db::sessions::list(app.db(), session, app.now()).await?;
    Ok(Reply::ok().data(&Sessions { sessions }))
}
