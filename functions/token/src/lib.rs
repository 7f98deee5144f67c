//! `POST /api/token`: a sign-in, which begins a session.

use serde::Serialize;
use shared::App;
use shared::auth::access_token::Session;
use shared::auth::password_hash::Verdict;
use shared::auth::refresh_token::RefreshToken;
use shared::db;
use shared::domain::PasswordAttempt;
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::post("/api/token");

/// Answers 200 with an access token and a refresh token.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let (name, password) = read(&request)?;
    let stored = db::users::find_credentials(app.db(), &name).await?;
    let verdict = app.verify_password(password, stored.as_ref().map(|stored| stored.password_hash.clone())).await?;
    let (Some(checked), Verdict::Right { renewed }) = (stored, verdict) else {
        return Err(ApiError::InvalidCredentials);
    };
    let now = app.now();
    let (session, refresh_token) = (Session::new(checked.user, now), RefreshToken::generate()?);
    let expires_at = now + app.settings().refresh_lifetime;
    let digest = refresh_token.digest();
    if !db::sessions::begin(app.db(), session, &digest, &checked, renewed.as_deref(), now, expires_at).await? {
        return Err(ApiError::InvalidCredentials);
    }
    Ok(Reply::ok().message("Signed in").data(&Tokens {
        access_token: &app.issue_access_token(session)?,
        token_type: "Bearer",
        expires_in: app.settings().tokens.lifetime.as_secs(),
        refresh_token: refresh_token.expose(),
        refresh_expires_in: app.settings().refresh_lifetime.as_secs(),
    }))
}

/// The name may be the username or the e-mail address.
fn read(request: &Request) -> Result<(String, PasswordAttempt), ApiError> {
    let mut body = Body::read(request)?;
    let name = body.text_or("username", Code::InvalidRequest, Code::MissingFields);
    let password = body.text_or("password", Code::InvalidRequest, Code::MissingFields);
    body.finish(name.zip(password))
}

#[derive(Serialize)]
struct Tokens<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: &'a str,
    refresh_expires_in: u64,
}
