//! `POST /api/token/refresh`: exchange a refresh token for new tokens.

use shared::App;
use shared::audit::Event;
use shared::auth::refresh_token::{RETRY_WINDOW, RefreshToken, RefreshTokenState};
use shared::db::sessions::Presented;
use shared::db::{self, Role};
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::post("/api/token/refresh");
/// The database role.
pub const ROLE: Role = Role::Accounts;

/// Rotations by which a repeated token is followed to the newest token of its session. Each was within the retry window.
const MAX_STEPS: usize = 20;

/// Rotates the refresh token and returns 200 with new tokens. A token that is presented again within the retry window gets
/// the newest token of its session; later it ends the session.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let mut token = read(&request)?;
    let (now, lifetime, network) = (app.now(), app.settings().refresh_lifetime, request.device.network.as_ref());
    for step in 0..MAX_STEPS {
        let successor = RefreshToken::generate()?;
        let presented = Presented {
            digest: &token.digest(),
            // A token that was reached by following its predecessor within the window is not in foreign hands.
            retry_window: if step == 0 { RETRY_WINDOW } else { lifetime },
            successor: &successor.digest(),
            sealed: &token.seal(&successor),
        };
        let found = db::sessions::refresh(app.db(), presented, network, now, lifetime).await?;
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
