//! `DELETE /api/sessions/{id}`: end one of the caller's sessions.

use shared::App;
use shared::audit::Event;
use shared::db::{self, Role};
use shared::domain::SessionId;
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::delete("/api/sessions/{id}");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Sessions;

/// Ends the session and returns 200. It may be the session of the request.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let id: SessionId = http::path(&request, "id")?;
    db::sessions::end(app.db(), session, id, &app.device(&request), app.now()).await?;
    Event::SessionEnded { by: session, ended: id }.record();
    Ok(Reply::message("Session ended"))
}
