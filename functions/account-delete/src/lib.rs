//! `DELETE /api/account`: the end of the caller's account and of everything in it.

use shared::App;
use shared::audit::Event;
use shared::auth::guessing::PasswordCheck;
use shared::db::{self, users::Refusal};
use shared::domain::PasswordAttempt;
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::delete("/api/account");

/// Answers 200, when nothing of the account is left. It takes the password: what a stolen access token must not be able to.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let password: PasswordAttempt = Body::read(&request)?.only_text("password")?;
    for _ in 0..PasswordCheck::ATTEMPTS {
        let challenge = db::sign_in::find_by_session(app.db(), session, app.now()).await?;
        let checked = app.check_password(PasswordCheck::Repeated, challenge, password.clone()).await?;
        match db::users::delete(app.db(), session, &checked, app.now()).await {
            Err(Refusal::PasswordChanged) => {}
            deleted => {
                deleted?;
                Event::AccountDeleted(session).record();
                return Ok(Reply::ok().message("Account deleted"));
            }
        }
    }
    Err(ApiError::WrongPassword)
}
