//! `DELETE /api/sessions`: the end of all of the caller's sessions.

use shared::App;
use shared::audit::Event;
use shared::db;
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::delete("/api/sessions");

/// Answers 200. The session that asks has ended with the others.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    db::sessions::end_all(app.db(), session, app.now()).await?;
    Event::AllSessionsEnded(session).record();
    Ok(Reply::ok().message("Signed out everywhere"))
}
