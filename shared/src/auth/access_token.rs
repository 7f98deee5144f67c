//! Access tokens: JSON Web Tokens according to RFC 9068 and RFC 8725.
//!
//! This module, `jwt_crypto`, and `key_ring` are the home of `jsonwebtoken`, which signs. Verification is written here: it is
//! part of nearly every request, and the library would prepare the key and parse each part twice for every token.

#![expect(clippy::disallowed_methods, reason = "the home of jsonwebtoken")]

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::key_ring::KeyRing;
use super::verifying_keys::VerifyingKeys;
use crate::domain::{Session, SessionId, UserId, uuid_v7};

/// The `typ` header (RFC 9068 §2.1). It keeps other JWTs that are signed with the same key from being accepted.
const TYPE: &str = "at+jwt";
/// The tolerated difference between the clocks of two machines. AWS keeps its clocks within milliseconds.
const LEEWAY_SECONDS: u64 = 5;
/// Time for which a token is valid: the lifetime that the original service announced to its clients.
pub const LIFETIME: Duration = Duration::from_hours(1);
/// Maximum length in bytes. An issued token has about 500, so a longer one is rejected without parsing.
const MAX_BYTES: usize = 4096;

/// The issuer, the audience, and the lifetime of tokens. Only tokens with the same issuer and audience are accepted.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud`.
    pub audience: String,
    /// Time from `iat` to `exp`, in whole seconds.
    pub lifetime: Duration,
}

/// The reason why an access token is rejected. It is logged; the client only learns that the token is invalid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAccessToken {
    /// The token is longer than any issued token.
    #[error("the token has more than {MAX_BYTES} bytes")]
    TooLong,
    /// The text does not have three parts in base64url without padding (RFC 7515 §3.1).
    #[error("the token does not consist of three parts in base64url")]
    Parts,
    /// The header or the claims are not a JSON object with the expected members and types.
    #[error("the header or the claims are not the expected JSON")]
    Json(#[from] serde_json::Error),
    /// `typ` is missing or different.
    #[error("the token is not of type {TYPE}")]
    Type,
    /// `crit` names extensions. This service supports none (RFC 7515 §4.1.11).
    #[error("the token has critical extensions")]
    Critical,
    /// The ring has no key with this `kid`.
    #[error("the token names an unknown key")]
    UnknownKey,
    /// `alg` is not the algorithm of the key (RFC 8725 §3.1).
    #[error("the token names another algorithm than its key has")]
    Algorithm,
    /// The signature does not belong to the key.
    #[error("the signature is wrong")]
    Signature,
    /// `iss` or `aud` is different.
    #[error("the token is of another issuer or for another audience")]
    Audience,
    /// `exp` is in the past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// An access token that could not be signed. No input from a client causes it.
#[derive(Debug, thiserror::Error)]
#[error("the access token could not be signed")]
pub struct SigningError(#[from] jsonwebtoken::errors::Error);

/// The members of a token's header (RFC 7515 §4.1) that are checked.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Text<'a>,
    #[serde(borrow)]
    typ: Option<Text<'a>>,
    #[serde(borrow)]
    kid: Option<Text<'a>>,
    /// Whether the member is there, with any value.
    #[serde(default, deserialize_with = "is_present")]
    crit: bool,
}

fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A JSON string, which is copied only if it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Serialize, Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    sub: UserId,
    sid: SessionId,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: Uuid,
}

/// Signs a token for `session` with the ring's first key.
///
/// # Errors
/// [`SigningError`].
pub fn issue(ring: &KeyRing, policy: &TokenPolicy, session: Session, now: SystemTime) -> Result<String, SigningError> {
    let issued_at = unix_seconds(now);
    let claims = Claims {
        iss: Cow::Borrowed(&policy.issuer),
        aud: Cow::Borrowed(&policy.audience),
        sub: session.user,
        sid: session.id,
        iat: issued_at,
        nbf: issued_at,
        exp: issued_at + policy.lifetime.as_secs(),
        jti: uuid_v7(now),
    };
    let key = ring.signing();
    let header = jsonwebtoken::Header {
        typ: Some(TYPE.to_owned()),
        kid: Some(key.id.clone()),
        ..jsonwebtoken::Header::new(key.algorithm)
    };
    Ok(jsonwebtoken::encode(&header, &claims, &key.signing)?)
}

/// Verifies a token.
///
/// `kid` selects the key, and the key determines the algorithm; the token's `alg` cannot (RFC 8725 §3.1). Headers that
/// contain or refer to keys (`jwk`, `jku`, `x5u`, `x5c`) are ignored.
///
/// # Errors
/// [`InvalidAccessToken`].
pub fn verify(
    keys: &VerifyingKeys,
    policy: &TokenPolicy,
    token: &str,
    now: SystemTime,
) -> Result<VerifiedToken, InvalidAccessToken> {
    if token.len() > MAX_BYTES {
        return Err(InvalidAccessToken::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(InvalidAccessToken::Parts)?;
    let (header, claims) = signed.split_once('.').ok_or(InvalidAccessToken::Parts)?;
    let header = decode(header)?;
    let header: Header<'_> = serde_json::from_slice(&header)?;
    if !header.typ.as_ref().is_some_and(|typ| is_access_token_type(&typ.0)) {
        return Err(InvalidAccessToken::Type);
    }
    if header.crit {
        return Err(InvalidAccessToken::Critical);
    }
    let key = header.kid.as_ref().and_then(|id| keys.find(&id.0)).ok_or(InvalidAccessToken::UnknownKey)?;
    if header.alg.0 != key.verifying.algorithm() {
        return Err(InvalidAccessToken::Algorithm);
    }
    if !key.verifying.verifies(signed.as_bytes(), &decode(signature)?) {
        return Err(InvalidAccessToken::Signature);
    }
    let claims = decode(claims)?;
    let claims: Claims<'_> = serde_json::from_slice(&claims)?;
    if claims.iss != policy.issuer || claims.aud != policy.audience {
        return Err(InvalidAccessToken::Audience);
    }
    let verified = VerifiedToken {
        session: Session { id: claims.sid, user: claims.sub },
        not_before: claims.nbf.max(claims.iat),
        expires_at: claims.exp,
    };
    verified.check_time(now)?;
    Ok(verified)
}

/// A token whose signature, issuer, and audience were verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The session that it was issued for.
    pub session: Session,
    /// The later one of `nbf` and `iat`, in seconds since 1970.
    not_before: u64,
    /// `exp`, in seconds since 1970.
    expires_at: u64,
}

impl VerifiedToken {
    /// Checks that the token is valid at a time.
    ///
    /// # Errors
    /// `Expired` or `NotYetValid`.
    pub fn check_time(&self, now: SystemTime) -> Result<(), InvalidAccessToken> {
        let now = unix_seconds(now);
        if self.expires_at.saturating_add(LEEWAY_SECONDS) <= now {
            return Err(InvalidAccessToken::Expired);
        }
        if self.not_before > now + LEEWAY_SECONDS {
            return Err(InvalidAccessToken::NotYetValid);
        }
        Ok(())
    }
}

/// Decodes a part of a token. Padding, other characters, and unused bits that are not zero are rejected, so that each part
/// has one encoding.
fn decode(part: &str) -> Result<Vec<u8>, InvalidAccessToken> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidAccessToken::Parts)
}

/// Compares a `typ` header, ignoring case. The prefix `application/` is optional (RFC 7515 §4.1.9).
fn is_access_token_type(typ: &str) -> bool {
    const PREFIX: &str = "application/";
    let prefix = typ.get(..PREFIX.len()).filter(|start| start.eq_ignore_ascii_case(PREFIX));
    typ[prefix.map_or(0, str::len)..].eq_ignore_ascii_case(TYPE)
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
