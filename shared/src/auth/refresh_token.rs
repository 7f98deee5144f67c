//! Refresh tokens: what a client shows to get new tokens without a password, each of them once (RFC 9700 §4.14.2).
//!
//! Rotation must not sign out a client whose answer was lost, and must not give two clients a token each. So a consumed
//! token keeps its successor, sealed with the consumed token itself: whoever repeats it within [`RETRY_WINDOW`] gets
//! that one successor again, and the database alone gives nobody anything.

use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use zeroize::Zeroizing;

/// How long after its rotation a token may be shown again.
pub const RETRY_WINDOW: Duration = Duration::from_secs(10);

const BYTES: usize = 32;

/// 256 random bits, which say nothing and are stored nowhere; 43 characters of base64url on their way.
#[derive(Clone)]
pub struct RefreshToken(Zeroizing<[u8; BYTES]>);

/// A text that is no refresh token, and never was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no refresh token of this service")]
pub struct InvalidRefreshToken;

/// SHA-256 of a refresh token in base64url, 43 characters: what the database keeps. A token has enough entropy that
/// nothing slower is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTokenDigest(String);

/// A refresh token that can be read with the help of the one before it, and is noise otherwise; 43 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedToken(String);

/// What a refresh token is at the moment at which it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshTokenState {
    /// The newest of its session: it has been rotated by being shown.
    Valid,
    /// Rotated less than [`RETRY_WINDOW`] ago, into `successor`, which may have been `rotated` itself.
    Repeated {
        /// What it was rotated into.
        successor: SealedToken,
        /// Whether the successor is another's predecessor already.
        rotated: bool,
    },
    /// Rotated longer ago: somebody has a token that they should not have. Its session has ended by its being shown.
    Reused,
}

impl RefreshToken {
    /// A new token.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut secret = Zeroizing::new([0; BYTES]);
        getrandom::fill(secret.as_mut())?;
        Ok(Self(secret))
    }

    /// What the database keeps of it.
    pub fn digest(&self) -> RefreshTokenDigest {
        RefreshTokenDigest(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.as_ref())))
    }

    /// Hides `successor` from everybody who does not have this token.
    pub fn seal(&self, successor: &Self) -> SealedToken {
        SealedToken(URL_SAFE_NO_PAD.encode(self.masked(&successor.0)))
    }

    /// Undoes [`RefreshToken::seal`].
    ///
    /// # Errors
    /// `sealed` is damaged.
    pub fn unseal(&self, sealed: &SealedToken) -> Result<Self, InvalidRefreshToken> {
        Ok(Self(self.masked(&*decode(&sealed.0)?)))
    }

    /// The text for the client.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_ref()))
    }

    /// A one-time pad: a token is rotated once, so its pad is used for one successor only.
    fn masked(&self, bytes: &[u8; BYTES]) -> Zeroizing<[u8; BYTES]> {
        let pad = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.0.as_ref()), b"successor");
        let mut masked = Zeroizing::new(*bytes);
        masked.iter_mut().zip(pad.as_ref()).for_each(|(byte, pad)| *byte ^= pad);
        masked
    }
}

impl FromStr for RefreshToken {
    type Err = InvalidRefreshToken;

    fn from_str(text: &str) -> Result<Self, InvalidRefreshToken> {
        decode(text).map(Self)
    }
}

fn decode(text: &str) -> Result<Zeroizing<[u8; BYTES]>, InvalidRefreshToken> {
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidRefreshToken)?);
    bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| InvalidRefreshToken)
}

impl RefreshTokenDigest {
    /// The digest as the database keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SealedToken {
    /// The sealed token as the database keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for SealedToken {
    fn from(stored: String) -> Self {
        Self(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_token_comes_back_from_its_text() -> Outcome {
        let token = RefreshToken::generate()?;
        let text = token.expose();
        assert_eq!(text.len(), 43);
        assert_eq!(text.parse::<RefreshToken>()?.digest(), token.digest());
        assert_ne!(RefreshToken::generate()?.digest(), token.digest());
        Ok(())
    }

    #[test]
    fn only_43_characters_of_base64url_are_a_token() {
        for text in ["", "x", &"A".repeat(42), &"A".repeat(44), &"B".repeat(43), &format!("{}=", "A".repeat(43)), "+/"]
        {
            assert!(text.parse::<RefreshToken>().is_err(), "{text:?}");
        }
        assert!("A".repeat(43).parse::<RefreshToken>().is_ok());
    }

    #[test]
    fn a_successor_opens_to_its_predecessor_alone() -> Outcome {
        let (token, successor, other) =
            (RefreshToken::generate()?, RefreshToken::generate()?, RefreshToken::generate()?);
        let sealed = token.seal(&successor);
        assert_eq!(token.unseal(&sealed)?.digest(), successor.digest());
        assert_ne!(other.unseal(&sealed)?.digest(), successor.digest());
        assert_ne!(sealed.as_str(), successor.expose().as_str());
        Ok(())
    }
}
