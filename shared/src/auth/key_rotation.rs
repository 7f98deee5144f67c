//! Rotation of the key ring: makes the next ring from the current one.
//!
//! The first key of a ring signs and the last one is published in advance. A key is in the ring for three intervals:
//! before it signs, while it signs, and after it has signed. So all functions and other verifiers have one interval to
//! fetch a key before it signs, and its tokens have one interval to expire before it is removed.

use std::time::{Duration, SystemTime};

use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::json;
use zeroize::Zeroizing;

use super::jwt_crypto;
use super::key_ring::{InvalidKeyRing, KeyRing, KeyText};
use crate::domain::uuid_v7;

/// Minimum time between two rotations: the lifetime of an access token, plus the time until all functions use the new
/// ring, plus the time for which caches keep its public keys. [`secrets`](crate::secrets) checks the sum.
pub const MIN_INTERVAL: Duration = Duration::from_mins(60 + 15 + 5);

/// The reason why the ring cannot be rotated.
#[derive(Debug, thiserror::Error)]
pub enum NextRingError {
    /// The current text is not a key ring.
    #[error(transparent)]
    KeyRing(#[from] InvalidKeyRing),
    /// The system has no randomness.
    #[error("no randomness for a new key")]
    Randomness(#[from] getrandom::Error),
    /// A key pair could not be generated.
    #[error("a key pair could not be generated")]
    KeyPair,
    /// Tokens of the key to be removed may be valid, or some function may not have the key that is to sign.
    #[error("the keys were changed less than {MIN_INTERVAL:?} ago. Rotate them later")]
    TooSoon,
}

/// Returns the ring, as JSON, that follows the ring in `text`. `age` is the time since the last rotation.
///
/// The last key signs next, the key that signed only verifies, and a new key of the same type with the given `id` is
/// added. A ring of one key keeps signing with it, and its age does not matter.
///
/// # Errors
/// The text is not a ring, a key has this id already, or the last rotation was too recent.
pub fn next_ring(text: &str, age: Duration, id: &str) -> Result<Zeroizing<String>, NextRingError> {
    let mut keys = KeyRing::texts(text)?;
    if keys.len() > 1 && age < MIN_INTERVAL {
        return Err(NextRingError::TooSoon);
    }
    let new = match keys[0].private_key {
        None => KeyText { kid: id.to_owned(), secret: Some(new_secret()?), private_key: None },
        Some(_) => KeyText { kid: id.to_owned(), secret: None, private_key: Some(new_private_key()?) },
    };
    let next = match keys.len() {
        1 => vec![keys.swap_remove(0), new],
        // All tokens of the keys between them have expired.
        _ => vec![keys.pop(), keys.into_iter().next(), Some(new)].into_iter().flatten().collect(),
    };
    let next = Zeroizing::new(json!({ "keys": next }).to_string());
    KeyRing::parse(&next)?;
    Ok(next)
}

/// Makes a ring of one new key pair, as JSON.
///
/// # Errors
/// A key pair could not be generated.
pub fn first_ring(now: SystemTime) -> Result<Zeroizing<String>, NextRingError> {
    let key = KeyText { kid: uuid_v7(now).to_string(), secret: None, private_key: Some(new_private_key()?) };
    Ok(Zeroizing::new(json!({ "keys": [key] }).to_string()))
}

/// Returns 256 random bits in hexadecimal, like `openssl rand -hex 32`.
fn new_secret() -> Result<Zeroizing<String>, NextRingError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)?;
    Ok(Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// Generates a P-256 key pair in PKCS#8 and PEM (RFC 7468 §10).
fn new_private_key() -> Result<Zeroizing<String>, NextRingError> {
    let der = jwt_crypto::new_key_pair().map_err(|_| NextRingError::KeyPair)?;
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    Ok(Zeroizing::new(pem::encode_config(&Pem::new("PRIVATE KEY", der.as_ref()), config)))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const SECRET: &str = "9f8a1c0d5be24f7a8e3b6c1d2f405968";
    const DAY: Duration = Duration::from_hours(24);

    fn ids(ring: &str) -> Vec<String> {
        let ring: Value = serde_json::from_str(ring).expect("JSON");
        ring["keys"]
            .as_array()
            .expect("keys")
            .iter()
            .map(|key| key["kid"].as_str().expect("a kid").to_owned())
            .collect()
    }

    #[test]
    fn a_key_is_published_signs_and_verifies_for_one_interval_each() -> Result<(), NextRingError> {
        let first = next_ring(SECRET, DAY, "b")?;
        let given = ids(&first)[0].clone();
        assert_eq!(ids(&first), [given.as_str(), "b"]);
        let second = next_ring(&first, DAY, "c")?;
        assert_eq!(ids(&second), ["b", given.as_str(), "c"]);
        let third = next_ring(&second, DAY, "d")?;
        assert_eq!(ids(&third), ["c", "b", "d"]);
        Ok(())
    }

    #[test]
    fn a_plain_secret_keeps_its_id_so_that_its_tokens_stay_valid() -> Result<(), NextRingError> {
        let before = KeyRing::parse(SECRET)?;
        let after = KeyRing::parse(&next_ring(SECRET, DAY, "new")?)?;
        assert_eq!(after.signing().id, before.signing().id);
        Ok(())
    }

    #[test]
    fn a_new_key_has_the_type_of_the_key_that_signs() -> Result<(), NextRingError> {
        let pem = new_private_key()?;
        let (first, second) = (next_ring(&pem, DAY, "b")?, next_ring(&next_ring(&pem, DAY, "b")?, DAY, "c")?);
        for ring in [&first, &second] {
            assert!(!ring.contains("secret"), "a key pair follows a key pair");
            assert_eq!(KeyRing::parse(ring)?.signing().algorithm, jsonwebtoken::Algorithm::ES256);
        }
        assert_ne!(*new_private_key()?, *pem);
        Ok(())
    }

    #[test]
    fn no_key_is_removed_before_its_tokens_have_expired() -> Result<(), NextRingError> {
        let first = next_ring(SECRET, Duration::ZERO, "b")?;
        let just_short = MIN_INTERVAL.saturating_sub(Duration::from_secs(1));
        assert!(matches!(next_ring(&first, just_short, "c"), Err(NextRingError::TooSoon)));
        assert!(next_ring(&first, MIN_INTERVAL, "c").is_ok());
        Ok(())
    }

    #[test]
    fn a_repeated_id_and_a_malformed_ring_are_rejected() -> Result<(), NextRingError> {
        let first = next_ring(SECRET, DAY, "b")?;
        assert!(matches!(next_ring(&first, DAY, "b"), Err(NextRingError::KeyRing(InvalidKeyRing::Repeated(_)))));
        assert!(matches!(next_ring("{}", DAY, "b"), Err(NextRingError::KeyRing(InvalidKeyRing::Malformed(_)))));
        Ok(())
    }
}
