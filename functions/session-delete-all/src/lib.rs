//! `DELETE /api/sessions`: end all of the caller's sessions.

use shared::App;
use shared::audit::Event;
use shared::db::{self, Role};
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::delete("/api/sessions");
/// The database role.
pub const ROLE: Role = Role::Accounts;

/// Ends all sessions, that of the request included, and returns 200.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    db::sessions::end_all(app.db(), session, app.now()).await?;
    Event::AllSessionsEnded(session).record();
    Ok(Reply::message("All sessions ended"))
}
