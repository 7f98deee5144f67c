//! `DELETE /api/sessions/{id}`: the end of one of the caller's sessions.

use shared::App;
use shared::audit::Event;
use shared::db;
use shared::domain::SessionId;
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::delete("/api/sessions/{id}");

/// Answers 200; a session that the caller does not have is SESSION_NOT_FOUND. It may be the one that asks.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let id: SessionId = http::path(&request, "id")?;
    db::sessions::end(app.db(), session, id, app.now()).await?;
    Event::SessionEnded { by: session, ended: id }.record();
    Ok(Reply::ok().message("Signed out"))
}
