//! The next ring of signing keys: what a rotation makes of the one before it.
//!
//! A key is published one rotation before it signs and stays one rotation after it has: the first key of a ring signs, the
//! last one waits. So every function and whoever fetches the public keys has a whole interval to learn of a key before it
//! signs, and the tokens of a key have a whole interval to expire before it retires.

use std::time::Duration;

use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::json;
use zeroize::Zeroizing;

use super::jwt_crypto;
use super::key_ring::{InvalidKeyRing, KeyRing, KeyText};

/// The least time between two rotations: an access token's life, and what functions that fetch the ring every five
/// minutes and caches of the public keys need.
pub const MIN_INTERVAL: Duration = Duration::from_mins(60 + 10);

/// Why there is no next ring.
#[derive(Debug, thiserror::Error)]
pub enum NextRingError {
    /// What there is, is none.
    #[error(transparent)]
    KeyRing(#[from] InvalidKeyRing),
    /// The system has no randomness.
    #[error("no randomness for a new key")]
    Randomness(#[from] getrandom::Error),
    /// A key could not be made.
    #[error("a key pair could not be made")]
    KeyPair,
    /// Tokens of the key that is to retire have not expired, or the one that is to sign is not known everywhere.
    #[error("the keys were changed less than {MIN_INTERVAL:?} ago: rotate them later")]
    TooSoon,
}

/// The ring that follows the one in `text`, which has stood for `age`, as JSON: the key that waited signs, the one that
/// signed verifies, and a new one of the same kind, by the name of `id`, waits. A ring of one key goes on signing with it, at
/// whatever age.
///
/// # Errors
/// The text is no ring, has a key of that id, or stands for too short a time.
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
        // The keys between them verified what nobody has any more.
        _ => vec![keys.pop(), keys.into_iter().next(), Some(new)].into_iter().flatten().collect(),
    };
    let next = Zeroizing::new(json!({ "keys": next }).to_string());
    KeyRing::parse(&next)?;
    Ok(next)
}

/// 256 random bits in hexadecimal, as `openssl rand -hex 32` writes them.
fn new_secret() -> Result<Zeroizing<String>, NextRingError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)?;
    Ok(Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// A P-256 key pair in PKCS#8 as PEM has it (RFC 7468 §10).
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
    fn a_key_waits_signs_and_verifies_for_an_interval_each() -> Result<(), NextRingError> {
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
    fn a_plain_secret_keeps_its_id_so_that_its_tokens_stand() -> Result<(), NextRingError> {
        let before = KeyRing::parse(SECRET)?;
        let after = KeyRing::parse(&next_ring(SECRET, DAY, "new")?)?;
        assert_eq!(after.signing().id, before.signing().id);
        Ok(())
    }

    #[test]
    fn a_new_key_is_of_the_kind_that_signs() -> Result<(), NextRingError> {
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
    fn no_key_retires_before_its_tokens_have_expired() -> Result<(), NextRingError> {
        let first = next_ring(SECRET, Duration::ZERO, "b")?;
        let just_short = MIN_INTERVAL.saturating_sub(Duration::from_secs(1));
        assert!(matches!(next_ring(&first, just_short, "c"), Err(NextRingError::TooSoon)));
        assert!(next_ring(&first, MIN_INTERVAL, "c").is_ok());
        Ok(())
    }

    #[test]
    fn an_id_that_is_there_and_a_text_that_is_no_ring_are_refused() -> Result<(), NextRingError> {
        let first = next_ring(SECRET, DAY, "b")?;
        assert!(matches!(next_ring(&first, DAY, "b"), Err(NextRingError::KeyRing(InvalidKeyRing::Repeated(_)))));
        assert!(matches!(next_ring("{}", DAY, "b"), Err(NextRingError::KeyRing(InvalidKeyRing::Malformed(_)))));
        Ok(())
    }
}
