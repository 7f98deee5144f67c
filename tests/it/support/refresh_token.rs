//! Refresh tokens that a test takes apart and recombines.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The parts of a refresh token. `shared` does not expose them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTokenParts {
    /// The ids of the user and the session.
    session: [u8; 32],
    family: [u8; 32],
    secret: [u8; 32],
}

impl From<&String> for RefreshTokenParts {
    fn from(text: &String) -> Self {
        let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
        let part = |index: usize| bytes[32 * index..32 * (index + 1)].try_into().expect("32 bytes");
        assert_eq!(bytes.len(), 96);
        Self { session: part(0), family: part(1), secret: part(2) }
    }
}

impl RefreshTokenParts {
    /// The token with both secrets of another one.
    pub fn with_secrets_of(mut self, other: &Self) -> Self {
        (self.family, self.secret) = (other.family, other.secret);
        self
    }

    /// The token with the family secret of another one.
    pub fn with_family_of(mut self, other: &Self) -> Self {
        self.family = other.family;
        self
    }

    /// The token with the secret of another one.
    pub fn with_secret_of(mut self, other: &Self) -> Self {
        self.secret = other.secret;
        self
    }

    /// The token for a request.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.session, self.family, self.secret].concat())
    }
}
