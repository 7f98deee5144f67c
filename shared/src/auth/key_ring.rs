//! The keys that access tokens are signed and verified with.
//!
//! A ring may hold keys of both kinds, so that a service can go from one to the other: secrets (HS256), which whoever
//! verifies has to have, and key pairs (ES256), whose public half anybody may have.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::digest;
use ring::signature::KeyPair;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::jwt_crypto;

/// Keys in order: the first signs, all of them verify. A key is published by standing in the ring, and retires by leaving
/// it.
pub struct KeyRing(Vec<Key>);

/// A key with the id that token headers call it by (`kid`, RFC 7515 §4.1.4), and the one algorithm that it is for
/// (RFC 8725 §3.1).
pub(super) struct Key {
    pub(super) id: String,
    pub(super) algorithm: Algorithm,
    pub(super) signing: EncodingKey,
    pub(super) verifying: DecodingKey,
    public: Option<PublicKey>,
}

/// The public halves of a ring's key pairs, as a JWK Set (RFC 7517 §5).
#[derive(Serialize)]
pub struct PublicKeys<'a> {
    keys: Vec<&'a PublicKey>,
}

/// A public key as a JWK (RFC 7518 §6.2).
#[derive(Serialize)]
struct PublicKey {
    kid: String,
    kty: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    crv: &'static str,
    x: String,
    y: String,
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
    /// No private key, or one of another kind.
    #[error(
        "{0} is no PEM file with a P-256 key in PKCS#8. Make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    PrivateKey(String),
    /// It starts like JSON but is not the form that is understood.
    #[error(
        r#"the JWT secret is neither a plain text nor JSON like {{"keys":[{{"kid":"2026-11","secret":"…"}}]}} or {{"keys":[{{"kid":"2026-11","private_key":"…"}}]}}, of which the first signs: {0}"#
    )]
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
/// How a private key begins that stands there as it is.
const PEM: &str = "-----BEGIN";
/// The bytes of one coordinate of P-256.
const COORDINATE_BYTES: usize = 32;

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

/// A key as it stands in a ring's text: it has either a secret or a private key.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyText {
    pub(super) kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) private_key: Option<Zeroizing<String>>,
}

impl KeyRing {
    /// Reads a ring: a single secret or private key as it is, or JSON `{"keys":[{"kid","secret"}, …]}` where
    /// `private_key`, a PEM text, may stand for `secret`; the first one signs.
    ///
    /// # Errors
    /// No key, one that is short, well-known or of another kind, or two of one id.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        jwt_crypto::install();
        let text = text.trim();
        if text.starts_with(PEM) {
            return Ok(Self(vec![Key::from_private_key(None, text)?]));
        }
        if !text.starts_with('{') {
            return Ok(Self(vec![Key::from_secret(thumbprint(&format!("kid:{text}")), text)?]));
        }
        let ring: RingText = serde_json::from_str(text).map_err(|error| InvalidKeyRing::Malformed(place_of(&error)))?;
        let mut keys: Vec<Key> = Vec::with_capacity(ring.keys.len());
        for KeyText { kid, secret, private_key } in ring.keys {
            if kid.is_empty() || kid.chars().count() > MAX_ID_CHARS {
                return Err(InvalidKeyRing::Malformed(format!("a kid has 1 to {MAX_ID_CHARS} characters")));
            }
            if keys.iter().any(|key| key.id == kid) {
                return Err(InvalidKeyRing::Repeated(kid));
            }
            keys.push(match (secret, private_key) {
                (Some(secret), None) => Key::from_secret(kid, &secret)?,
                (None, Some(private_key)) => Key::from_private_key(Some(kid), &private_key)?,
                _ => {
                    let what = format!("the key {kid:?} must have either a secret or a private_key");
                    return Err(InvalidKeyRing::Malformed(what));
                }
            });
        }
        if keys.is_empty() {
            return Err(InvalidKeyRing::Malformed("there is no key in it".to_owned()));
        }
        Ok(Self(keys))
    }

    /// The keys of a ring as they stand in its text, at least one; a single one that came without an id has one now.
    pub(super) fn texts(text: &str) -> Result<Vec<KeyText>, InvalidKeyRing> {
        let ring = Self::parse(text)?;
        let text = text.trim();
        if text.starts_with('{') {
            let ring: RingText =
                serde_json::from_str(text).map_err(|error| InvalidKeyRing::Malformed(place_of(&error)))?;
            return Ok(ring.keys);
        }
        let key = Some(Zeroizing::new(text.to_owned()));
        let (secret, private_key) = if text.starts_with(PEM) { (None, key) } else { (key, None) };
        Ok(vec![KeyText { kid: ring.signing().id.clone(), secret, private_key }])
    }

    /// What others can verify access tokens with: nothing, where the ring has secrets only.
    pub fn public_keys(&self) -> PublicKeys<'_> {
        PublicKeys { keys: self.0.iter().filter_map(|key| key.public.as_ref()).collect() }
    }

    /// Whether it verifies what another ring signs.
    pub(crate) fn verifies_tokens_of(&self, other: &Self) -> bool {
        let signing = other.signing();
        self.find(&signing.id)
            .is_some_and(|key| key.verifying.try_get_as_bytes().ok() == signing.verifying.try_get_as_bytes().ok())
    }

    /// The key that signs.
    pub(super) fn signing(&self) -> &Key {
        // `parse` lets no empty ring through.
        &self.0[0]
    }

    /// The key of that id, unless it has retired.
    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl Key {
    fn from_secret(id: String, secret: &str) -> Result<Self, InvalidKeyRing> {
        let name = || format!("the JWT secret {id:?}");
        if secret.len() < MIN_SECRET_BYTES {
            return Err(InvalidKeyRing::Short(name()));
        }
        if is_guessable(secret) {
            return Err(InvalidKeyRing::Guessable(name()));
        }
        let (signing, verifying) =
            (EncodingKey::from_secret(secret.as_bytes()), DecodingKey::from_secret(secret.as_bytes()));
        Ok(Self { id, algorithm: Algorithm::HS256, signing, verifying, public: None })
    }

    /// Without an id it gets its thumbprint (RFC 7638) for one.
    fn from_private_key(id: Option<String>, pem: &str) -> Result<Self, InvalidKeyRing> {
        let refuse =
            || InvalidKeyRing::PrivateKey(format!("the JWT private key {}", id.as_deref().unwrap_or_default()));
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| refuse())?;
        let pair = jwt_crypto::key_pair(der.secret_pkcs8_der()).map_err(|_| refuse())?;
        // 4, x and y: SEC 1 §2.3.3.
        let point = pair.public_key().as_ref();
        let (x, y) = point.get(1..).and_then(|both| both.split_at_checked(COORDINATE_BYTES)).ok_or_else(refuse)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let id = id.unwrap_or_else(|| thumbprint(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)));
        Ok(Self {
            algorithm: Algorithm::ES256,
            signing: EncodingKey::from_ec_der(der.secret_pkcs8_der()),
            verifying: DecodingKey::from_ec_der(point),
            public: Some(PublicKey { kid: id.clone(), kty: "EC", usage: "sig", alg: "ES256", crv: "P-256", x, y }),
            id,
        })
    }
}

/// Where JSON is not what it should be. What is there, the library's own message would show.
fn place_of(error: &serde_json::Error) -> String {
    format!("look at line {}, column {}", error.line(), error.column())
}

/// Eight different bytes among 32 are what 20 million random hexadecimal secrets have at least; `aaaa…` or `123412341234…`
/// have fewer.
fn is_guessable(secret: &str) -> bool {
    let mut bytes = secret.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len() < 8 || WELL_KNOWN.contains(&secret.to_lowercase().as_str())
}

/// An id for a key that came without one: SHA-256 of what tells it apart, in base64url. It does not tell a secret of 256 bits.
fn thumbprint(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, key.as_bytes()))
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

    /// Of `openssl genpkey`, and never used for anything else.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6B9zt0dYZhgT2qNb
g+PF2T7+/eD0sWWED6pTINfZcxehRANCAAStIyaSSmmNZItmqUFAPb6fECfIfXGj
kPhZYvJKLbO6gANnnfjSTPaFaCsP8t9tAweU8YzfPEvoz1GQoA6Uz+An
-----END PRIVATE KEY-----
";

    #[test]
    fn a_private_key_is_a_ring_of_one_and_shows_its_public_half_alone() -> Result<(), Box<dyn std::error::Error>> {
        let ring = KeyRing::parse(PRIVATE)?;
        // The same by OpenSSL and RFC 7638's rule.
        let expected = serde_json::json!({ "keys": [{
            "kid": "xb9Z1E1-tds5bhYrp4hK_6_ZcRX9cJGEL0BGU4J_pUI",
            "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256",
            "x": "rSMmkkppjWSLZqlBQD2-nxAnyH1xo5D4WWLySi2zuoA",
            "y": "A2ed-NJM9oVoKw_y320DB5TxjN88S-jPUZCgDpTP4Cc",
        }] });
        assert_eq!(serde_json::to_value(ring.public_keys())?, expected);
        Ok(())
    }

    #[test]
    fn a_ring_may_hold_both_kinds() -> Result<(), Box<dyn std::error::Error>> {
        let text = serde_json::json!({ "keys": [
            { "kid": "pair", "private_key": PRIVATE }, { "kid": "secret", "secret": RANDOM },
        ] });
        let ring = KeyRing::parse(&text.to_string())?;
        assert_eq!(ring.signing().algorithm, Algorithm::ES256);
        assert_eq!(ring.find("secret").map(|key| key.algorithm), Some(Algorithm::HS256));
        assert_eq!(serde_json::to_value(ring.public_keys())?["keys"].as_array().map(Vec::len), Some(1));
        Ok(())
    }

    #[test]
    fn another_kind_of_private_key_is_refused() {
        // Ed25519, by `openssl genpkey`.
        let other = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIMNZLubD5YQvOtXAy7F/oGx1kwrIi+20/UdjI4nWE0Yg\n-----END PRIVATE KEY-----";
        for text in [other, "-----BEGIN PRIVATE KEY-----", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
        {
            assert!(matches!(parse(text), Err(InvalidKeyRing::PrivateKey(_))), "{text:?}");
        }
        let both = serde_json::json!({ "keys": [{ "kid": "a", "private_key": PRIVATE, "secret": RANDOM }] });
        assert!(matches!(parse(&both.to_string()), Err(InvalidKeyRing::Malformed(_))));
    }

    #[test]
    fn no_message_shows_a_secret() {
        for text in ["hunter2", &"z".repeat(40), "super-secret-jwt-token-with-at-least-32-characters-long"] {
            let message = parse(text).expect_err("a bad secret").to_string();
            assert!(!message.contains(text) && message.contains("openssl rand -hex 32"), "{message}");
        }
        for text in [r#"{"keys":["hunter2"]}"#, r#"{"keys":"hunter2"}"#, r#"{"keys":[{"kid":"a","hunter2":1}]}"#] {
            let message = parse(text).expect_err("no ring").to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
