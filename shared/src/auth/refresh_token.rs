//! Refresh tokens, which clients present to get new tokens without a password. Each use rotates the token (RFC 9700
//! §4.14.2).
//!
//! A token names its session and has two secrets: the family secret, which all tokens of the session have, and a secret
//! of its own. So any token that the service has issued for the session is recognized, although only the newest ones
//! are stored, and a made-up token that names the session of another user is not.
//!
//! A client that lost the response must be able to retry, but must not get a second successor. So the successor is
//! stored with the rotated token and encrypted with it, until the next rotation: a retry returns the same successor, and
//! a copy of the database contains no usable token.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::Session;

/// Time after its rotation for which a token may be presented again although its successor was rotated as well. Requests
/// of one client that race, such as those of several tabs, are closer together.
pub const RACE_WINDOW: Duration = Duration::from_secs(10);

/// Bytes of a secret, a digest, and a sealed secret.
const BYTES: usize = 32;
/// Bytes of an id.
const ID_BYTES: usize = 16;
/// Bytes of a token: the ids of the user and the session, the family secret, and the secret.
const TOKEN_BYTES: usize = 2 * ID_BYTES + 2 * BYTES;

/// A refresh token: two ids and two times 256 random bits, 128 characters in base64url. It is never stored.
#[derive(Clone)]
pub struct RefreshToken {
    session: Session,
    family: Secret,
    secret: Secret,
}

type Secret = Zeroizing<[u8; BYTES]>;

/// A text that cannot be a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token of this service")]
pub struct InvalidRefreshToken;

/// The stored form of a secret: its SHA-256. A fast hash suffices for 256 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretDigest([u8; BYTES]);

/// The secret of a refresh token, encrypted with that of its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedSecret([u8; BYTES]);

impl RefreshToken {
    /// Generates the first token of a session.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn first(session: Session) -> Result<Self, getrandom::Error> {
        Ok(Self { session, family: generate()?, secret: generate()? })
    }

    /// Generates another token of the same session.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn successor(&self) -> Result<Self, getrandom::Error> {
        Ok(self.with_secret(generate()?))
    }

    /// Returns the session that the token names. Only the database knows whether the token belongs to it.
    pub fn session(&self) -> Session {
        self.session
    }

    /// Returns the form to store of the family secret.
    pub fn family_digest(&self) -> SecretDigest {
        SecretDigest::of(&self.family)
    }

    /// Returns the form to store of the token's own secret.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(&self.secret)
    }

    /// Encrypts the secret of `successor` with that of this token.
    pub fn seal(&self, successor: &Self) -> SealedSecret {
        SealedSecret(*self.masked(&successor.secret))
    }

    /// Returns the successor whose secret [`RefreshToken::seal`] has encrypted.
    #[must_use]
    pub fn unseal(&self, sealed: &SealedSecret) -> Self {
        self.with_secret(self.masked(&sealed.0))
    }

    /// Returns the text for the client.
    pub fn expose(&self) -> Zeroizing<String> {
        let (user, id) = (self.session.user.uuid(), self.session.id.uuid());
        let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES));
        for part in [user.as_bytes().as_slice(), id.as_bytes(), self.family.as_ref(), self.secret.as_ref()] {
            bytes.extend_from_slice(part);
        }
        Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
    }

    fn with_secret(&self, secret: Secret) -> Self {
        Self { session: self.session, family: self.family.clone(), secret }
    }

    /// Applies a one-time pad. A token is rotated once, so its pad is used for one successor only.
    fn masked(&self, bytes: &[u8; BYTES]) -> Secret {
        let pad = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_ref()), b"successor");
        let mut masked = Zeroizing::new(*bytes);
        masked.iter_mut().zip(pad.as_ref()).for_each(|(byte, pad)| *byte ^= pad);
        masked
    }
}

/// Shows the session only.
impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken").field("session", &self.session).finish_non_exhaustive()
    }
}

impl FromStr for RefreshToken {
    type Err = InvalidRefreshToken;

    fn from_str(text: &str) -> Result<Self, InvalidRefreshToken> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidRefreshToken)?);
        let (user, rest) = bytes.split_first_chunk().ok_or(InvalidRefreshToken)?;
        let (id, rest) = rest.split_first_chunk().ok_or(InvalidRefreshToken)?;
        let (family, rest) = rest.split_first_chunk().ok_or(InvalidRefreshToken)?;
        let secret = rest.try_into().map_err(|_| InvalidRefreshToken)?;
        let session = Session { user: Uuid::from_bytes(*user).into(), id: Uuid::from_bytes(*id).into() };
        Ok(Self { session, family: Zeroizing::new(*family), secret: Zeroizing::new(secret) })
    }
}

fn generate() -> Result<Secret, getrandom::Error> {
    let mut secret = Zeroizing::new([0; BYTES]);
    getrandom::fill(secret.as_mut())?;
    Ok(secret)
}

impl SecretDigest {
    fn of(secret: &Secret) -> Self {
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_ref()).as_ref());
        Self(bytes)
    }

    /// Returns the bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl SealedSecret {
    /// Returns the bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads stored bytes.
impl TryFrom<&[u8]> for SealedSecret {
    type Error = InvalidRefreshToken;

    fn try_from(stored: &[u8]) -> Result<Self, InvalidRefreshToken> {
        stored.try_into().map(Self).map_err(|_| InvalidRefreshToken)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::domain::{SessionId, UserId};

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn session() -> Session {
        let now = SystemTime::UNIX_EPOCH;
        Session { user: UserId::new(now), id: SessionId::new(now) }
    }

    #[test]
    fn a_token_is_parsed_from_its_text() -> Outcome {
        let token = RefreshToken::first(session())?;
        let text = token.expose();
        assert_eq!(text.len(), 128);
        let parsed: RefreshToken = text.parse()?;
        assert_eq!(parsed.session(), token.session());
        assert_eq!((parsed.family_digest(), parsed.digest()), (token.family_digest(), token.digest()));
        Ok(())
    }

    #[test]
    fn every_token_has_a_secret_of_its_own_and_every_session_a_family_secret() -> Outcome {
        let session = session();
        let (first, other) = (RefreshToken::first(session)?, RefreshToken::first(session)?);
        assert_ne!(first.family_digest(), other.family_digest());
        assert_ne!(first.digest(), other.digest());
        assert_ne!(first.digest(), first.family_digest());
        let successor = first.successor()?;
        assert_eq!((successor.session(), successor.family_digest()), (session, first.family_digest()));
        assert_ne!(successor.digest(), first.digest());
        Ok(())
    }

    #[test]
    fn only_128_characters_of_base64url_are_a_token() {
        for text in ["", "x", &"A".repeat(43), &"A".repeat(127), &"A".repeat(132), &"+".repeat(128), &"=".repeat(128)] {
            assert!(text.parse::<RefreshToken>().is_err(), "{text:?}");
        }
        assert!("A".repeat(128).parse::<RefreshToken>().is_ok());
    }

    #[test]
    fn only_its_predecessor_decrypts_a_successor() -> Outcome {
        let token = RefreshToken::first(session())?;
        let (successor, other) = (token.successor()?, token.successor()?);
        let sealed = token.seal(&successor);
        assert_eq!(token.unseal(&sealed).expose(), successor.expose());
        assert_ne!(other.unseal(&sealed).digest(), successor.digest());
        assert_eq!(SealedSecret::try_from(sealed.as_bytes()), Ok(sealed));
        assert_eq!(SealedSecret::try_from(&sealed.as_bytes()[1..]), Err(InvalidRefreshToken));
        Ok(())
    }

    #[test]
    fn the_debug_text_has_no_secret() -> Outcome {
        let token = RefreshToken::first(session())?;
        let expected = format!("RefreshToken {{ session: {:?}, .. }}", token.session());
        assert_eq!(format!("{token:?}"), expected);
        Ok(())
    }
}
