//! `PUT /api/account/password`: change the caller's password.

use shared::App;
use shared::audit::Event;
use shared::db::sign_in::VerifiedPassword;
use shared::db::{self, Role};
use shared::domain::{Password, PasswordAttempt, PasswordPolicy, Session};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::put("/api/account/password");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Passwords;

/// Changes the password, ends all other sessions of the user, and returns 200.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let (current, new) = read(&request, app.settings().password_policy)?;
    app.reauthenticate(session, &current, |verified| change(&app, session, verified, &new)).await?;
    Event::PasswordChanged(session).record();
    Ok(Reply::message("Password changed. All other sessions have ended."))
}

fn read(request: &Request, policy: PasswordPolicy) -> Result<(PasswordAttempt, Password), ApiError> {
    let mut body = Body::read(request)?;
    let current = body.text("current_password", Code::InvalidRequest);
    let new = body.new_password("new_password", policy);
    body.finish(current.zip(new))
}

async fn change(
    app: &App,
    session: Session,
    verified: VerifiedPassword,
    new: &Password,
) -> Result<Option<()>, ApiError> {
    new.check_owner(&verified.credentials.username, &verified.credentials.email)
        .map_err(|error| ApiError::invalid("new_password", Code::InvalidPassword, error))?;
    let hash = app.hash_password(new.clone()).await?;
    let changed = db::users::set_password(app.db(), session, &verified, &hash, app.now()).await?;
    Ok(changed.then_some(()))
}
