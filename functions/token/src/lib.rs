//! `POST /api/token`: a sign-in, which begins a session.

use shared::App;
use shared::audit::Event;
use shared::auth::access_token::Session;
use shared::auth::guessing::PasswordCheck;
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
    for _ in 0..PasswordCheck::ATTEMPTS {
        let challenge = db::sign_in::find_by_name(app.db(), &name, request.device.network.as_ref(), app.now()).await?;
        let checked = app.check_password(PasswordCheck::SignIn, challenge, password.clone()).await?;
        let now = app.now();
        let (session, refresh_token) = (Session::new(checked.user, now), RefreshToken::generate()?);
        let (digest, expires_at) = (refresh_token.digest(), now + app.settings().refresh_lifetime);
        if db::sessions::begin(app.db(), session, &digest, &checked, &request.device, now, expires_at).await? {
            Event::SignedIn(session).record();
            return Ok(Reply::ok().message("Signed in").data(&app.tokens(session, &refresh_token).await?));
        }
    }
    Err(ApiError::InvalidCredentials)
}

/// The name may be the username or the e-mail address.
fn read(request: &Request) -> Result<(String, PasswordAttempt), ApiError> {
    let mut body = Body::read(request)?;
    let name = body.text_or("username", Code::InvalidRequest, Code::MissingFields);
    let password = body.text_or("password", Code::InvalidRequest, Code::MissingFields);
    body.finish(name.zip(password))
}
