//! `POST /api/token`: sign in and start a session.

use shared::App;
use shared::app::SessionStart;
use shared::auth::key_ring::KeyRing;
use shared::db::sign_in::VerifiedPassword;
use shared::db::{self, Role};
use shared::domain::{Device, PasswordAttempt};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/token");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::SignIn;

/// Checks the username or email address and the password, starts a session, and returns 200 with its tokens.
pub async fn handle(app: App<KeyRing>, request: Request) -> Result<Reply, ApiError> {
    let (name, password) = read(&request)?;
    let device = &app.device(&request);
    let session = app.sign_in(&name, device, &password, |verified| start(&app, verified, device)).await?;
    Ok(Reply::message_and_data("Signed in", &app.first_tokens(&session).await?))
}

fn read(request: &Request) -> Result<(String, PasswordAttempt), ApiError> {
    let mut body = Body::read(request)?;
    let name = body.text_or("username", Code::InvalidRequest, Code::MissingFields);
    let password = body.text_or("password", Code::InvalidRequest, Code::MissingFields);
    body.finish(name.zip(password))
}

async fn start(
    app: &App<KeyRing>,
    verified: VerifiedPassword,
    device: &Device,
) -> Result<Option<SessionStart>, ApiError> {
    if verified.credentials.disabled {
        return Err(ApiError::AccountDisabled);
    }
    if app.settings().requires_verified_email && !verified.credentials.email_verified {
        return app.require_verification(&verified, device.network.as_ref()).await?.map_or(Ok(None), Err);
    }
    let session = app.new_session(verified.credentials.user)?;
    let started = db::sessions::start(app.db(), session.on(device), &verified).await?;
    Ok(started.then_some(session))
}
