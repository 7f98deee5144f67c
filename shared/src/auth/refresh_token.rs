//! Refresh tokens, which clients present to get new tokens without a password. Each use rotates the token (RFC 9700
//! §4.14.2).
//!
//! A client that lost the response must be able to retry, but must not get a second successor. So the successor is
//! stored with the consumed token and encrypted with it: a retry within [`RETRY_WINDOW`] returns the same successor,
//! and a copy of the database contains no usable token.

use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use zeroize::Zeroizing;

/// Time after its rotation for which a token may be presented again.
pub const RETRY_WINDOW: Duration = Duration::from_secs(10);

const BYTES: usize = 32;

/// A refresh token: 256 random bits, 43 characters in base64url. It is never stored.
#[derive(Clone)]
pub struct RefreshToken(Zeroizing<[u8; BYTES]>);

/// A text that cannot be a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token of this service")]
pub struct InvalidRefreshToken;

/// The stored form of a refresh token: its SHA-256 in base64url, 43 characters.
///
/// A fast hash suffices for 256 random bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTokenDigest(String);

/// A refresh token that is encrypted with its predecessor, 43 characters in base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedToken(String);

/// The state of a refresh token when it is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshTokenState {
    /// It was the newest token of its session, and is rotated now.
    Valid,
    /// It was rotated less than [`RETRY_WINDOW`] ago.
    Repeated {
        /// Its successor.
        successor: SealedToken,
        /// Whether the successor was rotated as well.
        rotated: bool,
    },
    /// It was rotated longer ago, which is treated as theft. Its session has been ended.
    Reused,
}

impl RefreshToken {
    /// Generates a token.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut secret = Zeroizing::new([0; BYTES]);
        getrandom::fill(secret.as_mut())?;
        Ok(Self(secret))
    }

    /// Returns the form to store.
    pub fn digest(&self) -> RefreshTokenDigest {
        RefreshTokenDigest(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.as_ref())))
    }

    /// Encrypts `successor` with this token.
    pub fn seal(&self, successor: &Self) -> SealedToken {
        SealedToken(URL_SAFE_NO_PAD.encode(self.masked(&successor.0)))
    }

    /// Decrypts the result of [`RefreshToken::seal`].
    ///
    /// # Errors
    /// `sealed` is not 43 characters of base64url.
    pub fn unseal(&self, sealed: &SealedToken) -> Result<Self, InvalidRefreshToken> {
        Ok(Self(self.masked(&*decode(&sealed.0)?)))
    }

    /// Returns the text for the client.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_ref()))
    }

    /// Applies a one-time pad. A token is rotated once, so its pad is used for one successor only.
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
    /// Returns the text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SealedToken {
    /// Returns the text to store.
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
    fn a_token_is_parsed_from_its_text() -> Outcome {
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
    fn only_its_predecessor_decrypts_a_successor() -> Outcome {
        let (token, successor, other) =
            (RefreshToken::generate()?, RefreshToken::generate()?, RefreshToken::generate()?);
        let sealed = token.seal(&successor);
        assert_eq!(token.unseal(&sealed)?.digest(), successor.digest());
        assert_ne!(other.unseal(&sealed)?.digest(), successor.digest());
        assert_ne!(sealed.as_str(), successor.expose().as_str());
        Ok(())
    }
}
