//! Access tokens: JSON Web Tokens according to RFC 9068 and RFC 8725.
//!
//! This module, `jwt_crypto`, and `key_ring` are the home of `jsonwebtoken`.

#![expect(clippy::disallowed_methods, reason = "the home of jsonwebtoken")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::key_ring::KeyRing;
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
    /// The text is not a JWT, the signature, algorithm, issuer, or audience is wrong, or a claim has the wrong type.
    #[error("the token is malformed or not signed by this service")]
    Jwt(#[from] jsonwebtoken::errors::Error),
    /// `typ` is missing or different.
    #[error("the token is not of type {TYPE}")]
    Type,
    /// `crit` names extensions. This service supports none (RFC 7515 §4.1.11).
    #[error("the token has critical extensions")]
    Critical,
    /// The ring has no key with this `kid`.
    #[error("the token names an unknown key")]
    UnknownKey,
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

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
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
        iss: policy.issuer.clone(),
        aud: policy.audience.clone(),
        sub: session.user,
        sid: session.id,
        iat: issued_at,
        nbf: issued_at,
        exp: issued_at + policy.lifetime.as_secs(),
        jti: uuid_v7(now),
    };
    let key = ring.signing();
    let header = Header { typ: Some(TYPE.to_owned()), kid: Some(key.id.clone()), ..Header::new(key.algorithm) };
    Ok(jsonwebtoken::encode(&header, &claims, &key.signing)?)
}

/// Verifies a token and returns the session that it was issued for.
///
/// `kid` selects the key, and the key determines the algorithm; the token's `alg` cannot (RFC 8725 §3.1). Headers that
/// contain or refer to keys (`jwk`, `jku`, `x5u`, `x5c`) are ignored.
///
/// # Errors
/// [`InvalidAccessToken`].
pub fn verify(
    ring: &KeyRing,
    policy: &TokenPolicy,
    token: &str,
    now: SystemTime,
) -> Result<Session, InvalidAccessToken> {
    if token.len() > MAX_BYTES {
        return Err(InvalidAccessToken::TooLong);
    }
    let header = jsonwebtoken::decode_header(token)?;
    if !header.typ.as_deref().is_some_and(is_access_token_type) {
        return Err(InvalidAccessToken::Type);
    }
    if header.crit.is_some() {
        return Err(InvalidAccessToken::Critical);
    }
    let key = header.kid.as_deref().and_then(|id| ring.find(id)).ok_or(InvalidAccessToken::UnknownKey)?;
    let mut validation = Validation::new(key.algorithm);
    validation.set_issuer(&[&policy.issuer]);
    validation.set_audience(&[&policy.audience]);
    // The library would read the system clock. The times are checked below against `now`.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims: Claims = jsonwebtoken::decode(token, &key.verifying, &validation)?.claims;
    let now = unix_seconds(now);
    if claims.exp.saturating_add(LEEWAY_SECONDS) <= now {
        return Err(InvalidAccessToken::Expired);
    }
    if claims.nbf.max(claims.iat) > now + LEEWAY_SECONDS {
        return Err(InvalidAccessToken::NotYetValid);
    }
    Ok(Session { id: claims.sid, user: claims.sub })
}

/// Compares a `typ` header, ignoring case. The prefix `application/` is optional (RFC 7515 §4.1.9).
fn is_access_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ) == TYPE
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
