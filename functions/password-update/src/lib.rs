//! `PUT /api/account/password`: change the caller's password.

use std::time::SystemTime;

use shared::App;
use shared::audit::Event;
use shared::auth::refresh_token::RefreshToken;
use shared::db::sessions::NewSession;
use shared::db::sign_in::VerifiedPassword;
use shared::db::{self, Role};
use shared::domain::{Device, Password, PasswordAttempt, PasswordPolicy, Session};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::put("/api/account/password");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Passwords;

/// Changes the password, ends all sessions of the user, and returns 200 with the tokens of a new one.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let (current, new) = read(&request, app.settings().password_policy)?;
    let device = request.device(&app.settings().trusted_proxies);
    let change = |verified| change(&app, session, verified, &new, &device);
    let (refresh_token, expires_at) = app.reauthenticate(session, device.network.as_ref(), &current, change).await?;
    Event::PasswordChanged(session).record();
    Event::SessionStarted(refresh_token.session()).record();
    let tokens = app.tokens(&refresh_token, expires_at).await?;
    Ok(Reply::message_and_data("Password changed. All sessions have ended, and a new one has started.", &tokens))
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
    device: &Device,
) -> Result<Option<(RefreshToken, SystemTime)>, ApiError> {
    new.check_owner(&verified.credentials.username, &verified.credentials.email)
        .map_err(|error| ApiError::invalid("new_password", Code::InvalidPassword, error))?;
    let hash = app.hash_password(new.clone()).await?;
    let started_at = app.now();
    let refresh_token = RefreshToken::first(Session::new(session.user, started_at))?;
    let expires_at = app.settings().sessions.first_expiry(started_at);
    let replacement = NewSession { refresh_token: &refresh_token, device, started_at, expires_at };
    let changed = db::users::set_password(app.db(), session, &verified, &hash, replacement).await?;
    Ok(changed.then_some((refresh_token, expires_at)))
}
