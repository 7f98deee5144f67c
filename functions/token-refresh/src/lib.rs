//! `POST /api/token/refresh`: rotate a refresh token.

use shared::App;
use shared::audit::Event;
use shared::auth::refresh_token::{RETRY_WINDOW, RefreshToken, RefreshTokenState};
use shared::db::sessions::Presented;
use shared::db::{self, Role};
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/token/refresh");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Accounts;

/// Maximum number of rotations between a repeated token and the newest token of its session.
const MAX_STEPS: usize = 20;

/// Rotates the refresh token and returns 200 with new tokens.
///
/// If the token is presented again within the retry window, the response contains the newest refresh token of the
/// session. Reuse after that revokes the session.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let mut token = read(&request)?;
    let (now, lifetime, network) = (app.now(), app.settings().refresh_lifetime, request.network());
    for step in 0..MAX_STEPS {
        let successor = RefreshToken::generate()?;
        let presented = Presented {
            digest: &token.digest(),
            // After the first step, the token was not presented but reached from one that was presented in time.
            retry_window: if step == 0 { RETRY_WINDOW } else { lifetime },
            successor: &successor.digest(),
            sealed: &token.seal(&successor),
        };
        let found = db::sessions::refresh(app.db(), presented, network.as_ref(), now, lifetime).await?;
        let Some((session, state)) = found else {
            Event::RefreshUnknown.record();
            return Err(ApiError::InvalidRefreshToken);
        };
        let newest = match state {
            RefreshTokenState::Valid => {
                Event::RefreshRotated(session).record();
                successor
            }
            RefreshTokenState::Repeated { successor, rotated: true } => {
                token = token.unseal(&successor)?;
                continue;
            }
            RefreshTokenState::Repeated { successor, rotated: false } => {
                Event::RefreshRepeated(session).record();
                token.unseal(&successor)?
            }
            RefreshTokenState::Reused => {
                Event::RefreshReused(session).record();
                return Err(ApiError::InvalidRefreshToken);
            }
        };
        return Ok(Reply::message_and_data("Tokens refreshed", &app.tokens(session, &newest).await?));
    }
    Err(ApiError::InvalidRefreshToken)
}

fn read(request: &Request) -> Result<RefreshToken, ApiError> {
    let text: String = Body::read(request)?.only_text("refresh_token")?;
    Ok(text.parse()?)
}
