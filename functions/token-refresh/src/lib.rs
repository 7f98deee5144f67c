//! `POST /api/token/refresh`: new tokens for a refresh token.

use shared::App;
use shared::audit::Event;
use shared::auth::refresh_token::{GRACE, RefreshToken, RefreshTokenState};
use shared::db::{self, sessions::Shown};
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::post("/api/token/refresh");

/// How far a repeated token is followed to the newest one of its session. Each step was a rotation within the grace.
const MAX_STEPS: usize = 20;

/// Answers 200 with an access token and the next refresh token. A token that is shown again within the grace gets the
/// newest one of its session; one that is shown later ends it.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let mut shown = read(&request)?;
    let (now, lifetime, network) = (app.now(), app.settings().refresh_lifetime, request.device.network.as_ref());
    for step in 0..MAX_STEPS {
        let successor = RefreshToken::generate()?;
        let attempt = Shown {
            digest: &shown.digest(),
            // What is found by following a token within its grace is in nobody else's hands, whatever the clocks say.
            grace: if step == 0 { GRACE } else { lifetime },
            successor: &successor.digest(),
            sealed: &shown.seal(&successor),
        };
        let found = db::sessions::refresh(app.db(), attempt, network, now, lifetime).await?;
        let Some((session, state)) = found else {
            Event::RefreshUnknown.record();
            return Err(ApiError::InvalidRefreshToken);
        };
        let newest = match state {
            RefreshTokenState::Valid => {
                Event::Refreshed(session).record();
                successor
            }
            RefreshTokenState::Repeated { successor, rotated: true } => {
                shown = shown.unseal(&successor)?;
                continue;
            }
            RefreshTokenState::Repeated { successor, rotated: false } => {
                Event::RefreshRepeated(session).record();
                shown.unseal(&successor)?
            }
            RefreshTokenState::Reused => {
                Event::RefreshReused(session).record();
                return Err(ApiError::InvalidRefreshToken);
            }
        };
        return Ok(Reply::ok().message("Refreshed").data(&app.tokens(session, &newest).await?));
    }
    Err(ApiError::InvalidRefreshToken)
}

fn read(request: &Request) -> Result<RefreshToken, ApiError> {
    let text: String = Body::read(request)?.only_text("refresh_token")?;
    Ok(text.parse()?)
}
