//! `POST /api/token/revoke`: revoke a refresh token and end its session (RFC 7009).

use shared::App;
use shared::audit::Event;
use shared::auth::refresh_token::RefreshToken;
use shared::db::{self, Role};
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};
use shared::secrets::NoKeys;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/token/revoke");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Sessions;

/// Returns 200 whether or not the token was valid (RFC 7009 §2.2).
pub async fn handle(app: App<NoKeys>, request: Request) -> Result<Reply, ApiError> {
    let text: String = Body::read(&request)?.only_text("refresh_token")?;
    if let Ok(token) = text.parse::<RefreshToken>()
        && db::sessions::revoke(app.db(), &token, &app.device(&request), app.now()).await?
    {
        Event::SessionRevoked(token.session()).record();
    }
    Ok(Reply::message("Token revoked"))
}
