//! `POST /api/token/revoke`: the end of the session that a refresh token belongs to (RFC 7009).

use shared::App;
use shared::audit::Event;
use shared::auth::refresh_token::RefreshToken;
use shared::db;
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};
use shared::secrets::NoKeys;

/// The route.
pub const ROUTE: Route = Route::post("/api/token/revoke");

/// Answers 200 whether or not there was such a token: its holder wants it to be of no use, and so it is.
pub async fn handle(app: App<NoKeys>, request: Request) -> Result<Reply, ApiError> {
    let text: String = Body::read(&request)?.only_text("refresh_token")?;
    if let Ok(token) = text.parse::<RefreshToken>()
        && let Some(session) = db::sessions::revoke(app.db(), &token.digest()).await?
    {
        Event::Revoked(session).record();
    }
    Ok(Reply::ok().message("Signed out"))
}
