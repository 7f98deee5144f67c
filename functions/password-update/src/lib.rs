//! `PUT /api/account/password`: another password.

use shared::App;
use shared::audit::Event;
use shared::auth::guessing::PasswordCheck;
use shared::db::{self, users::Refusal};
use shared::domain::{Password, PasswordAttempt, PasswordPolicy};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::put("/api/account/password");

/// Answers 200, when the old password opens nothing any more: every session has ended but the one that asks.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let (current, new) = read(&request, app.settings().password_policy)?;
    for _ in 0..PasswordCheck::ATTEMPTS {
        let challenge = db::sign_in::find_by_session(app.db(), session, app.now()).await?;
        if let Some(owner) = &challenge.credentials {
            new.check_owner(&owner.username, &owner.email)
                .map_err(|error| ApiError::invalid("new_password", Code::InvalidPassword, error))?;
        }
        let checked = app.check_password(PasswordCheck::Repeated, challenge, current.clone()).await?;
        let hash = app.hash_password(new.clone()).await?;
        match db::users::set_password(app.db(), session, &checked, &hash, app.now()).await {
            Err(Refusal::PasswordChanged) => {}
            changed => {
                changed?;
                Event::PasswordChanged(session).record();
                return Ok(Reply::ok().message("Password changed: every other session has ended"));
            }
        }
    }
    Err(ApiError::WrongPassword)
}

fn read(request: &Request, policy: PasswordPolicy) -> Result<(PasswordAttempt, Password), ApiError> {
    let mut body = Body::read(request)?;
    let current = body.text("current_password", Code::InvalidRequest);
    let new = body.new_password("new_password", policy);
    body.finish(current.zip(new))
}
