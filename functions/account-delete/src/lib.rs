//! `DELETE /api/account`: delete the caller's account and all its data.

use shared::App;
use shared::audit::Event;
use shared::db::{self, Role};
use shared::domain::PasswordAttempt;
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::delete("/api/account");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Eraser;

/// Deletes the account and returns 200. The body contains the password, so that a stolen access token is not enough.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let password: PasswordAttempt = Body::read(&request)?.only_text("password")?;
    let (app, device) = (&app, app.device(&request));
    app.reauthenticate(session, &device, &password, |verified| async move {
        let deleted = db::users::delete(app.db(), session, &verified, app.now()).await?;
        Ok(deleted.then_some(()))
    })
    .await?;
    Event::AccountDeleted(session).record();
    Ok(Reply::message("Account deleted"))
}
