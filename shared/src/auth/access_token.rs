//! Access tokens: JSON Web Tokens by RFC 9068 and RFC 8725. With `jwt_crypto` the only home of `jsonwebtoken`.

#![expect(clippy::disallowed_methods, reason = "this is the home of jsonwebtoken")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::key_ring::KeyRing;
use crate::domain::{Session, SessionId, UserId, uuid_v7};

/// The media type in the header (RFC 9068 §2.1), which keeps other JWTs of the same key from passing for access tokens.
const TYPE: &str = "at+jwt";
/// Seconds by which the clocks of two machines may differ. AWS keeps its clocks within milliseconds.
const LEEWAY_SECONDS: u64 = 5;
/// Bytes. Ours have about 500; anything longer is not one of ours and not worth parsing.
const MAX_BYTES: usize = 4096;

/// For whom and for how long tokens are issued, and whose are accepted.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// From `iat` to `exp`, whole seconds.
    pub lifetime: Duration,
}

/// Why a text is no access token of ours. For the log; the caller is told no more than that it is invalid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAccessToken {
    /// Longer than any token of ours.
    #[error("the token has more than {MAX_BYTES} bytes")]
    TooLong,
    /// No JWT, a bad signature, another algorithm, issuer or audience, or claims of wrong types.
    #[error("the token is malformed or not signed by this service")]
    Jwt(#[from] jsonwebtoken::errors::Error),
    /// `typ` is missing or another one.
    #[error("the token is not of type {TYPE}")]
    Type,
    /// `crit` names extensions, none of which is understood here (RFC 7515 §4.1.11).
    #[error("the token has critical extensions")]
    Critical,
    /// No key of the ring has this `kid`.
    #[error("the token names an unknown key")]
    UnknownKey,
    /// Past `exp`.
    #[error("the token has expired")]
    Expired,
    /// Before `nbf`, or `iat` lies in the future.
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

/// Reads a token: whose session it stands for.
///
/// The key is looked up by `kid` in the ring and the algorithm is the key's, never the token's; header members that
/// carry or point to keys (`jwk jku x5u x5c`) are not looked at.
///
/// # Errors
/// See [`InvalidAccessToken`].
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
    // The library reads the system's clock; the times are checked below by the one that was handed in.
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

/// RFC 7515 §4.1.9: media types are compared without case, and `application/` may be left out.
fn is_access_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    typ.strip_prefix("application/").unwrap_or(&typ) == TYPE
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
