//! `DELETE /api/account`: the end of the caller's account and of everything in it.

use shared::App;
use shared::audit::{Event, PasswordCheck};
use shared::db;
use shared::domain::PasswordAttempt;
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::delete("/api/account");

/// Answers 200, when nothing of the account is left. It takes the password: what a stolen access token must not be able to.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let password: PasswordAttempt = Body::read(&request)?.only_text("password")?;
    let network = request.device.network.as_ref();
    let challenge = db::sign_in::find_by_session(app.db(), session, network, app.now()).await?;
    let checked = app.check_password(PasswordCheck::Repeated, challenge, password).await?;
    db::users::delete(app.db(), session, &checked, app.now()).await?;
    Event::AccountDeleted(session).record();
    Ok(Reply::ok().message("Account deleted"))
}
