//! The session of a request.

use super::App;
use crate::auth::access_token::{self, InvalidAccessToken};
use crate::auth::key_ring::KeyRing;
use crate::domain::Session;
use crate::error::ApiError;
use crate::http::{Request, bearer_token};
use crate::telemetry::stats;

impl App<KeyRing> {
    /// Returns the session that the access token of a request names. The next statement checks whether it still exists.
    ///
    /// An unknown key id may be that of a new key, so the keys are fetched again before the token is rejected.
    ///
    /// # Errors
    /// The token is missing or invalid.
    pub async fn session(&self, request: &Request) -> Result<Session, ApiError> {
        let token = bearer_token(request)?;
        let verify = |keys: &KeyRing| access_token::verify(keys, &self.settings().tokens, token, self.now());
        let session = match verify(&*self.0.secrets.keys().await) {
            Err(InvalidAccessToken::UnknownKey) => verify(&*self.0.secrets.newest_keys().await),
            outcome => outcome,
        };
        let session = session.map_err(|error| ApiError::InvalidToken(Some(error)))?;
        stats::record_session(session);
        Ok(session)
    }
}
