//! The tokens in the response to a sign-in or a refresh.

use serde::Serialize;
use zeroize::Zeroizing;

use super::App;
use crate::auth::access_token;
use crate::auth::key_ring::KeyRing;
use crate::auth::refresh_token::RefreshToken;
use crate::domain::Session;
use crate::error::ApiError;

/// An access token and a refresh token, with the member names of RFC 6749 §5.1.
#[derive(Serialize)]
pub struct Tokens {
    access_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    refresh_token: Zeroizing<String>,
    /// Seconds until the session ends, unless it is refreshed before.
    refresh_expires_in: u64,
}

impl App<KeyRing> {
    /// Makes the tokens for the client: a new access token of `session`, and `refresh_token`.
    ///
    /// # Errors
    /// The access token could not be signed. No input from a client causes it.
    pub async fn tokens(&self, session: Session, refresh_token: &RefreshToken) -> Result<Tokens, ApiError> {
        let settings = self.settings();
        let keys = self.0.secrets.keys().await;
        Ok(Tokens {
            access_token: access_token::issue(&keys, &settings.tokens, session, self.now())?,
            token_type: "Bearer",
            expires_in: settings.tokens.lifetime.as_secs(),
            refresh_token: refresh_token.expose(),
            refresh_expires_in: settings.refresh_lifetime.as_secs(),
        })
    }
}
