use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use zeroize::Zeroizing;

/// What a client shows to get new tokens: 256 random bits, which say nothing and are stored nowhere.
pub struct RefreshToken(Zeroizing<String>);

/// SHA-256 of a refresh token in base64url, 43 characters: what the database keeps. A token has enough entropy that
/// nothing slower is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTokenDigest(String);

impl RefreshToken {
    /// A new token.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut())?;
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_ref()))))
    }

    /// What the database keeps of it.
    pub fn digest(&self) -> RefreshTokenDigest {
        RefreshTokenDigest(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.as_bytes())))
    }

    /// The text for the client, 43 characters.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl RefreshTokenDigest {
    /// The digest as the database keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
