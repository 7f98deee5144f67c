//! The tokens in the response to a sign-in or a refresh.

use std::time::SystemTime;

use serde::Serialize;
use zeroize::Zeroizing;

use super::App;
use crate::audit::Event;
use crate::auth::access_token;
use crate::auth::key_ring::KeyRing;
use crate::auth::refresh_token::RefreshToken;
use crate::db::sessions::NewSession;
use crate::domain::{Device, Session, UserId};
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

/// A session that a handler is about to start.
pub struct SessionStart {
    refresh_token: RefreshToken,
    started_at: SystemTime,
    expires_at: SystemTime,
}

impl SessionStart {
    /// Returns the session to store, for a device.
    pub fn on<'a>(&'a self, device: &'a Device) -> NewSession<'a> {
        let Self { refresh_token, started_at, expires_at } = self;
        NewSession { refresh_token, device, started_at: *started_at, expires_at: *expires_at }
    }
}

impl App<KeyRing> {
    /// Makes a session of a user that starts now.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new_session(&self, user: UserId) -> Result<SessionStart, ApiError> {
        let started_at = self.now();
        let refresh_token = RefreshToken::first(Session::new(user, started_at))?;
        let expires_at = self.settings().sessions.first_expiry(started_at);
        Ok(SessionStart { refresh_token, started_at, expires_at })
    }

    /// Records the start of a session that was stored, and makes its tokens for the client.
    ///
    /// # Errors
    /// As for [`App::tokens`].
    pub async fn first_tokens(&self, started: &SessionStart) -> Result<Tokens, ApiError> {
        Event::SessionStarted(started.refresh_token.session()).record();
        self.tokens(&started.refresh_token, started.expires_at).await
    }

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
