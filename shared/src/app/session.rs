//! The session of a request.

use std::sync::Arc;

use super::App;
use crate::auth::access_token::{self, InvalidAccessToken, VerifiedToken};
use crate::auth::verifying_keys::Verifies;
use crate::domain::Session;
use crate::error::ApiError;
use crate::http::{Request, bearer_token};
use crate::secrets::Keys;
use crate::telemetry::stats;

impl<K: Keys + Verifies> App<K> {
    /// Returns the session that the access token of a request names. The next statement checks whether it still exists.
    ///
    /// An unknown key id may be that of a new key, so the keys are fetched again before the token is rejected.
    ///
    /// # Errors
    /// The token is missing or invalid.
    pub async fn session(&self, request: &Request) -> Result<Session, ApiError> {
        let token = bearer_token(request)?;
        let verified = match self.verify(&self.0.secrets.keys().await, token) {
            Err(InvalidAccessToken::UnknownKey) => self.verify(&self.0.secrets.newest_keys().await, token),
            outcome => outcome,
        };
        let session = verified.map_err(|error| ApiError::InvalidToken(Some(error)))?.session;
        stats::record_session(session);
        Ok(session)
    }

    fn verify(&self, keys: &Arc<K>, token: &str) -> Result<VerifiedToken, InvalidAccessToken> {
        let now = self.now();
        let verify = || access_token::verify(keys.verifying(), &self.settings().tokens, token, now);
        let verified = self.0.tokens.get_or_verify(keys, token, verify)?;
        verified.check_time(now)?;
        Ok(verified)
    }
}
