//! `POST /api/token/refresh`: rotate a refresh token.

use shared::App;
use shared::audit::Event;
use shared::auth::key_ring::KeyRing;
use shared::auth::refresh_token::RefreshToken;
use shared::auth::throttle;
use shared::db::sessions::Refreshed;
use shared::db::{self, Role};
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/token/refresh");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Refresh;

/// Rotates the refresh token and returns 200 with new tokens.
///
/// If the token is presented again within the retry window, the response contains the same refresh token. Reuse after
/// that ends the session. A session that was refreshed too often gets 429 and keeps its token.
pub async fn handle(app: App<KeyRing>, request: Request) -> Result<Reply, ApiError> {
    let presented: RefreshToken = read(&request)?;
    let (session, successor) = (presented.session(), presented.successor()?);
    let (device, policy) = (app.device(&request), &app.settings().sessions);
    let refreshed = db::sessions::refresh(app.db(), &presented, &successor, &device, policy, app.now()).await?;
    let (successor, expires_at) = match refreshed {
        Refreshed::Rotated { expires_at } => {
            Event::RefreshRotated(session).record();
            (successor, expires_at)
        }
        Refreshed::Repeated { successor, expires_at } => {
            Event::RefreshRepeated(session).record();
            (presented.unseal(&successor), expires_at)
        }
        Refreshed::Throttled { until } => {
            let wait = throttle::wait(until, app.now());
            Event::RefreshThrottled { session, wait }.record();
            return Err(ApiError::TooManyAttempts(wait));
        }
        Refreshed::Superseded => return Err(rejected(Event::RefreshSuperseded(session))),
        Refreshed::Reused => return Err(rejected(Event::RefreshReused(session))),
        Refreshed::Unknown => return Err(rejected(Event::RefreshUnknown)),
    };
    Ok(Reply::message_and_data("Tokens refreshed", &app.tokens(&successor, expires_at).await?))
}

fn read(request: &Request) -> Result<RefreshToken, ApiError> {
    let text: String = Body::read(request)?.only_text("refresh_token")?;
    Ok(text.parse()?)
}

fn rejected(event: Event) -> ApiError {
    event.record();
    ApiError::InvalidRefreshToken
}
