//! `POST /api/token`: sign in and start a session.

use std::time::SystemTime;

use shared::App;
use shared::audit::Event;
use shared::auth::refresh_token::RefreshToken;
use shared::db::sessions::NewSession;
use shared::db::sign_in::VerifiedPassword;
use shared::db::{self, Role};
use shared::domain::{Device, PasswordAttempt, Session};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/token");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Passwords;

/// Checks the username or email address and the password, starts a session, and returns 200 with its tokens.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let (name, password) = read(&request)?;
    let device = &request.device(&app.settings().trusted_proxies);
    let (refresh_token, expires_at) =
        app.sign_in(&name, device.network.as_ref(), &password, |verified| start(&app, verified, device)).await?;
    Event::SessionStarted(refresh_token.session()).record();
    Ok(Reply::message_and_data("Signed in", &app.tokens(&refresh_token, expires_at).await?))
}

fn read(request: &Request) -> Result<(String, PasswordAttempt), ApiError> {
    let mut body = Body::read(request)?;
    let name = body.text_or("username", Code::InvalidRequest, Code::MissingFields);
    let password = body.text_or("password", Code::InvalidRequest, Code::MissingFields);
    body.finish(name.zip(password))
}

async fn start(
    app: &App,
    verified: VerifiedPassword,
    device: &Device,
) -> Result<Option<(RefreshToken, SystemTime)>, ApiError> {
    let started_at = app.now();
    let refresh_token = RefreshToken::first(Session::new(verified.credentials.user, started_at))?;
    let expires_at = app.settings().sessions.first_expiry(started_at);
    let new = NewSession { refresh_token: &refresh_token, device, started_at, expires_at };
    let started = db::sessions::start(app.db(), new, &verified).await?;
    Ok(started.then_some((refresh_token, expires_at)))
}
