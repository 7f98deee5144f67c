//! The tokens in the response to a sign-in or a refresh.

use std::time::SystemTime;

use serde::Serialize;
use zeroize::Zeroizing;

use super::App;
use crate::auth::access_token;
use crate::auth::key_ring::KeyRing;
use crate::auth::refresh_token::RefreshToken;
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
    /// Makes the tokens for the client: `refresh_token`, and a new access token of its session, which ends at
    /// `expires_at` unless it is refreshed before.
    ///
    /// # Errors
    /// The access token could not be signed. No input from a client causes it.
    pub async fn tokens(&self, refresh_token: &RefreshToken, expires_at: SystemTime) -> Result<Tokens, ApiError> {
        let (settings, now) = (self.settings(), self.now());
        let keys = self.0.secrets.keys().await;
        Ok(Tokens {
            access_token: access_token::issue(&keys, &settings.tokens, refresh_token.session(), now)?,
            token_type: "Bearer",
            expires_in: settings.tokens.lifetime.as_secs(),
            refresh_token: refresh_token.expose(),
            refresh_expires_in: expires_at.duration_since(now).unwrap_or_default().as_secs(),
        })
    }
}
