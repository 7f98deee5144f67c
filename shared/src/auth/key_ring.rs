//! The keys that access tokens are signed and verified with.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use ring::digest;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::jwt_crypto;

/// Secrets in order of age: the first signs, all of them verify. A key retires by leaving the ring.
pub struct KeyRing(Vec<HmacKey>);

/// One secret with the id that token headers call it by (`kid`, RFC 7515 §4.1.4).
pub struct HmacKey {
    /// The id.
    pub id: String,
    pub(super) signing: EncodingKey,
    pub(super) verifying: DecodingKey,
}

/// Why a text is no key ring. Each message says what to put in its place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyRing {
    /// Fewer than 256 bits.
    #[error("{0} has fewer than {MIN_SECRET_BYTES} bytes. {ADVICE}")]
    Short(String),
    /// A secret that stands in somebody's documentation, or one that repeats itself.
    #[error("{0} is a well-known example or too regular to be random. {ADVICE}")]
    Guessable(String),
    /// It starts like JSON but is not the form that is understood.
    #[error(r#"the JWT secret is neither a plain text nor JSON like {{"keys":[{{"kid":"2026-11","secret":"…"}}]}}, newest first: {0}"#)]
    Malformed(String),
    /// Two keys with the same id.
    #[error("the JWT key id {0:?} stands twice in the ring: give every key its own")]
    Repeated(String),
}

/// RFC 7518 §3.2: a key of the size of the hash output or larger must be used.
const MIN_SECRET_BYTES: usize = 32;
/// Characters of a key id, which stands in every token.
const MAX_ID_CHARS: usize = 64;
const ADVICE: &str = "Make one with `openssl rand -hex 32`";

/// Secrets of 32 bytes and more that are printed in documentation or shipped as defaults, in lower case.
const WELL_KNOWN: [&str; 6] = [
    "a-string-secret-at-least-256-bits-long",
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "your-secret-key-at-least-32-characters-long",
    "this-is-a-very-long-secret-key-for-jwt",
    "0123456789abcdef0123456789abcdef",
];

#[derive(Deserialize)]
struct RingText {
    keys: Vec<KeyText>,
}

#[derive(Deserialize)]
struct KeyText {
    kid: String,
    secret: Zeroizing<String>,
}

impl KeyRing {
    /// Reads a ring: a single secret as plain text, or JSON `{"keys":[{"kid","secret"}, …]}` with the newest first.
    ///
    /// # Errors
    /// No key, a short or well-known one, or two of one id.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        jwt_crypto::install();
        let text = text.trim();
        if !text.starts_with('{') {
            return Ok(Self(vec![HmacKey::new(thumbprint(text), text)?]));
        }
        let ring: RingText =
            serde_json::from_str(text).map_err(|error| InvalidKeyRing::Malformed(error.to_string()))?;
        let mut keys: Vec<HmacKey> = Vec::with_capacity(ring.keys.len());
        for KeyText { kid, secret } in ring.keys {
            if kid.is_empty() || kid.chars().count() > MAX_ID_CHARS {
                return Err(InvalidKeyRing::Malformed(format!("a kid has 1 to {MAX_ID_CHARS} characters")));
            }
            if keys.iter().any(|key| key.id == kid) {
                return Err(InvalidKeyRing::Repeated(kid));
            }
            keys.push(HmacKey::new(kid, &secret)?);
        }
        if keys.is_empty() {
            return Err(InvalidKeyRing::Malformed("there is no key in it".to_owned()));
        }
        Ok(Self(keys))
    }

    /// The key that signs.
    pub(super) fn newest(&self) -> &HmacKey {
        // `parse` lets no empty ring through.
        &self.0[0]
    }

    /// The key of that id, unless it has retired.
    pub(super) fn find(&self, id: &str) -> Option<&HmacKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl HmacKey {
    fn new(id: String, secret: &str) -> Result<Self, InvalidKeyRing> {
        let name = || format!("the JWT secret {id:?}");
        if secret.len() < MIN_SECRET_BYTES {
            return Err(InvalidKeyRing::Short(name()));
        }
        if is_guessable(secret) {
            return Err(InvalidKeyRing::Guessable(name()));
        }
        let (signing, verifying) =
            (EncodingKey::from_secret(secret.as_bytes()), DecodingKey::from_secret(secret.as_bytes()));
        Ok(Self { id, signing, verifying })
    }
}

/// Eight different bytes among 32 are what 20 million random hexadecimal secrets have at least; `aaaa…` or `123412341234…`
/// have fewer.
fn is_guessable(secret: &str) -> bool {
    let mut bytes = secret.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len() < 8 || WELL_KNOWN.contains(&secret.to_lowercase().as_str())
}

/// An id for a secret that came without one. 64 bits of SHA-256 tell two keys apart and do not tell the secret.
fn thumbprint(secret: &str) -> String {
    let digest = digest::digest(&digest::SHA256, format!("kid:{secret}").as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: &str = "9f8a1c0d5be24f7a8e3b6c1d2f405968";
    const OTHER: &str = "00b4d1c7e9f2a3856471829304a5b6c7";

    fn parse(text: &str) -> Result<Vec<String>, InvalidKeyRing> {
        KeyRing::parse(text).map(|ring| ring.0.into_iter().map(|key| key.id).collect())
    }

    #[test]
    fn a_plain_secret_of_32_bytes_is_a_ring_of_one() {
        assert_eq!(parse(RANDOM).map(|ids| ids.len()), Ok(1));
        assert_eq!(parse(&format!(" {RANDOM}\n")), parse(RANDOM));
        assert_ne!(parse(RANDOM), parse(OTHER));
    }

    #[test]
    fn a_json_ring_keeps_its_order() {
        let text = format!(r#"{{"keys":[{{"kid":"new","secret":"{RANDOM}"}},{{"kid":"old","secret":"{OTHER}"}}]}}"#);
        assert_eq!(parse(&text), Ok(vec!["new".to_owned(), "old".to_owned()]));
    }

    #[test]
    fn short_regular_and_well_known_secrets_are_refused() {
        for text in ["", "secret", &RANDOM[..31]] {
            assert!(matches!(parse(text), Err(InvalidKeyRing::Short(_))), "{text:?}");
        }
        for text in [&"a".repeat(64), &"1234".repeat(10), "A-string-secret-at-least-256-bits-long"] {
            assert!(matches!(parse(text), Err(InvalidKeyRing::Guessable(_))), "{text:?}");
        }
    }

    #[test]
    fn a_malformed_ring_is_refused() {
        for text in ["{}", r#"{"keys":[]}"#, r#"{"keys":[{"kid":"a"}]}"#, "{", r#"{"keys":[{"kid":"","secret":"x"}]}"#]
        {
            assert!(matches!(parse(text), Err(InvalidKeyRing::Malformed(_))), "{text:?}");
        }
        let twice = format!(r#"{{"keys":[{{"kid":"a","secret":"{RANDOM}"}},{{"kid":"a","secret":"{OTHER}"}}]}}"#);
        assert_eq!(parse(&twice), Err(InvalidKeyRing::Repeated("a".to_owned())));
    }

    #[test]
    fn no_message_shows_a_secret() {
        for text in ["hunter2", &"z".repeat(40), "super-secret-jwt-token-with-at-least-32-characters-long"] {
            let message = parse(text).expect_err("a bad secret").to_string();
            assert!(!message.contains(text) && message.contains("openssl rand -hex 32"), "{message}");
        }
    }
}
