//! `DELETE /api/sessions`: end all of the caller's sessions.

use shared::App;
use shared::audit::Event;
use shared::db::{self, Role};
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::delete("/api/sessions");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Sessions;

/// Ends all sessions, including that of the request, and returns 200.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    db::sessions::end_all(app.db(), session, &app.device(&request), app.now()).await?;
    Event::AllSessionsEnded(session).record();
    Ok(Reply::message("All sessions ended"))
}
