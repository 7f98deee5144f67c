//! The key ring: the keys that sign and verify access tokens.
//!
//! A ring may contain secrets (HS256), which every verifier must have, and key pairs (ES256), whose public keys may be
//! published. It may contain both, so that a deployment can change from one to the other.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use ring::signature::KeyPair;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::digest_keys::{DigestKeys, Digests};
use super::jwt_crypto;
use super::jwt_secret::{self, InvalidSecret};
use super::verifying_keys::{Key, PublicKey, PublicKeys, Verifies, VerifyingKeys, thumbprint};

/// Keys that sign and verify access tokens: the first one signs, all of them verify.
pub struct KeyRing {
    signing: SigningKey,
    digests: DigestKeys,
}

/// The key that signs.
pub(super) struct SigningKey {
    pub(super) id: String,
    pub(super) algorithm: Algorithm,
    pub(super) signing: EncodingKey,
    /// The secret, or the private key as PKCS#8, from which digest keys are derived.
    bytes: Zeroizing<Vec<u8>>,
}

/// The reason why a text is not a key ring. Each message says what to set instead.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyRing {
    /// A secret is short or guessable.
    #[error("{name} {reason}")]
    Secret {
        /// The name of the secret.
        name: String,
        /// Why it is rejected.
        reason: InvalidSecret,
    },
    /// The text is not a private key, or the key has another type.
    #[error(
        "{0} is not a P-256 key in PKCS#8 and PEM. Create one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    PrivateKey(String),
    /// The text starts like JSON but is not a key ring.
    #[error(
        r#"the JWT secret is neither plain text nor JSON such as {{"keys":[{{"kid":"2026-11","secret":"…"}}]}} or {{"keys":[{{"kid":"2026-11","private_key":"…"}}]}}: {0}"#
    )]
    Malformed(String),
    /// The text is a JWK Set with a key that is not a P-256 key for signatures.
    #[error(
        "the public key {0:?} is not a JWK with kid, kty EC, crv P-256, alg ES256, use sig, and the coordinates x and y. Copy the \
         response of GET /.well-known/jwks.json"
    )]
    PublicKey(String),
    /// Two keys have the same id.
    #[error("two keys of the ring have the id {0:?}. Give each key its own id")]
    Repeated(String),
}

/// Maximum characters of a key id, because every token contains it.
const MAX_ID_CHARS: usize = 64;
/// The start of a private key in PEM.
const PEM: &str = "-----BEGIN";

#[derive(Deserialize)]
struct RingText {
    keys: Vec<KeyText>,
}

/// A key in the JSON form of a ring. It has either a secret or a private key.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyText {
    pub(super) kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) private_key: Option<Zeroizing<String>>,
}

impl Verifies for KeyRing {
    fn verifying(&self) -> &VerifyingKeys {
        self.digests.verifying()
    }
}

impl Digests for KeyRing {
    fn digests(&self) -> &DigestKeys {
        &self.digests
    }
}

impl KeyRing {
    /// Parses a ring: one secret, one private key in PEM, or JSON such as `{"keys":[{"kid":"…","secret":"…"}]}`, where
    /// `private_key` (PEM) may replace `secret`.
    ///
    /// # Errors
    /// The text has no key, a key is short, well-known, or of another type, or two keys have the same id.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        jwt_crypto::install();
        let text = text.trim();
        if text.starts_with(PEM) {
            return Ok(Self::of(vec![from_private_key(None, text)?]));
        }
        if !text.starts_with('{') {
            check_secret(text, || "the JWT secret".to_owned())?;
            return Ok(Self::of(vec![from_secret(thumbprint(&format!("kid:{text}")), text)]));
        }
        let ring: RingText = serde_json::from_str(text).map_err(|error| InvalidKeyRing::Malformed(place_of(&error)))?;
        let mut keys: Vec<(SigningKey, Key)> = Vec::with_capacity(ring.keys.len());
        for KeyText { kid, secret, private_key } in ring.keys {
            check_id(&kid, keys.iter().map(|(_, key)| key))?;
            keys.push(match (secret, private_key) {
                (Some(secret), None) => {
                    check_secret(&secret, || format!("the JWT secret {kid:?}"))?;
                    from_secret(kid, &secret)
                }
                (None, Some(private_key)) => from_private_key(Some(kid), &private_key)?,
                _ => {
                    let fault = format!("the key {kid:?} must have either a secret or a private_key");
                    return Err(InvalidKeyRing::Malformed(fault));
                }
            });
        }
        if keys.is_empty() {
            return Err(InvalidKeyRing::Malformed("it has no key".to_owned()));
        }
        Ok(Self::of(keys))
    }

    /// Makes a ring of keys, at least one.
    fn of(mut keys: Vec<(SigningKey, Key)>) -> Self {
        let (signing, first) = keys.remove(0);
        let (others, other_keys): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
        let verifying = VerifyingKeys([first].into_iter().chain(other_keys).collect());
        let others: Vec<&[u8]> = others.iter().map(|key| key.bytes.as_slice()).collect();
        let digests = DigestKeys::derive(&signing.bytes, &others, verifying);
        Self { signing, digests }
    }

    /// Returns the keys of a ring in its JSON form, at least one. A single key without an id gets one.
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
        Ok(vec![KeyText { kid: ring.signing.id, secret, private_key }])
    }

    /// Returns the public keys as the text of a JWK Set, which [`VerifyingKeys::parse`] reads.
    ///
    /// # Errors
    /// A key of the ring is a secret, which has no public key.
    pub fn public_text(&self) -> Result<String, SecretInRing> {
        let keys: Option<Vec<&PublicKey>> = self.verifying().0.iter().map(|key| key.public.as_ref()).collect();
        Ok(PublicKeys { keys: keys.ok_or(SecretInRing)? }.text())
    }

    /// Drops the key that signs.
    pub(super) fn into_digests(self) -> DigestKeys {
        self.digests
    }

    /// Whether the key that signs is a secret, which every verifier must have.
    pub(crate) fn signs_with_secret(&self) -> bool {
        self.signing.algorithm == Algorithm::HS256
    }

    /// Returns the key that signs.
    pub(super) fn signing(&self) -> &SigningKey {
        &self.signing
    }
}

impl DigestKeys {
    /// Parses a ring ([`KeyRing::parse`]), of which it keeps no key that signs.
    ///
    /// # Errors
    /// As for [`KeyRing::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        KeyRing::parse(text).map(KeyRing::into_digests)
    }
}

impl VerifyingKeys {
    /// Parses public keys, a JWK Set, which may be empty: then no token is valid. Or a ring ([`KeyRing::parse`]), of which
    /// it keeps the verifying keys only.
    ///
    /// # Errors
    /// A key is not a P-256 key for signatures, or two keys have the same id. Or as for [`KeyRing::parse`].
    pub fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }

        let set: Result<Set, _> = serde_json::from_str(text);
        let Some(set) = set.ok().filter(|set| set.keys.iter().all(|key| key.get("kty").is_some())) else {
            return Ok(KeyRing::parse(text)?.into_digests().into_verifying());
        };
        let mut keys = Vec::with_capacity(set.keys.len());
        for key in set.keys {
            let name = key.get("kid").and_then(|kid| kid.as_str()).unwrap_or_default().to_owned();
            let public = serde_json::from_value(key).map_err(|_| InvalidKeyRing::PublicKey(name.clone()))?;
            check_id(&name, keys.iter())?;
            keys.push(Key::from_public(public).ok_or(InvalidKeyRing::PublicKey(name))?);
        }
        Ok(Self(keys))
    }

    /// Whether these keys verify tokens that a ring signs.
    pub(crate) fn verify_tokens_of(&self, ring: &KeyRing) -> bool {
        let (signing, message) = (ring.signing(), b"a token");
        let signature = jsonwebtoken::crypto::sign(message, &signing.signing, signing.algorithm);
        let signature = signature.ok().and_then(|signature| URL_SAFE_NO_PAD.decode(signature).ok());
        self.find(&signing.id).is_some_and(|key| key.verifying.verifies(message, &signature.unwrap_or_default()))
    }
}

/// A ring has a secret, which has no public key.
#[derive(Debug, thiserror::Error)]
#[error("the key ring contains a secret, which has no public key")]
pub struct SecretInRing;

/// Checks the id of a key that follows `keys`.
fn check_id<'a>(id: &str, mut keys: impl Iterator<Item = &'a Key>) -> Result<(), InvalidKeyRing> {
    if id.is_empty() || id.chars().count() > MAX_ID_CHARS {
        return Err(InvalidKeyRing::Malformed(format!("a kid must have 1 to {MAX_ID_CHARS} characters")));
    }
    if keys.any(|key| key.id == id) {
        return Err(InvalidKeyRing::Repeated(id.to_owned()));
    }
    Ok(())
}

/// Checks a secret. Its `name` in an error must not be derived from it: the digest of a short secret can be reversed.
fn check_secret(secret: &str, name: impl Fn() -> String) -> Result<(), InvalidKeyRing> {
    jwt_secret::check(secret).map_err(|reason| InvalidKeyRing::Secret { name: name(), reason })
}

fn from_secret(id: String, secret: &str) -> (SigningKey, Key) {
    let bytes = secret.as_bytes();
    let signing = SigningKey {
        id: id.clone(),
        algorithm: Algorithm::HS256,
        signing: EncodingKey::from_secret(bytes),
        bytes: Zeroizing::new(bytes.to_vec()),
    };
    (signing, Key::from_secret(id, bytes))
}

/// Parses a P-256 key pair. Without an `id`, the key's thumbprint (RFC 7638) becomes its id.
fn from_private_key(id: Option<String>, pem: &str) -> Result<(SigningKey, Key), InvalidKeyRing> {
    let invalid = || InvalidKeyRing::PrivateKey(format!("the JWT private key {}", id.as_deref().unwrap_or_default()));
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| invalid())?;
    let pair = jwt_crypto::key_pair(der.secret_pkcs8_der()).map_err(|_| invalid())?;
    let key = Key::from_point(id.clone(), pair.public_key().as_ref()).ok_or_else(invalid)?;
    let signing = SigningKey {
        id: key.id.clone(),
        algorithm: Algorithm::ES256,
        signing: EncodingKey::from_ec_der(der.secret_pkcs8_der()),
        bytes: Zeroizing::new(der.secret_pkcs8_der().to_vec()),
    };
    Ok((signing, key))
}

/// Returns the position of a JSON fault. The library's own message would quote the secret.
fn place_of(error: &serde_json::Error) -> String {
    format!("check line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: &str = "9f8a1c0d5be24f7a8e3b6c1d2f405968";
    const OTHER: &str = "00b4d1c7e9f2a3856471829304a5b6c7";

    fn parse(text: &str) -> Result<Vec<String>, InvalidKeyRing> {
        KeyRing::parse(text).map(|ring| ring.into_digests().into_verifying().0.into_iter().map(|key| key.id).collect())
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
    fn a_malformed_ring_is_rejected() {
        for text in ["{}", r#"{"keys":[]}"#, r#"{"keys":[{"kid":"a"}]}"#, "{", r#"{"keys":[{"kid":"","secret":"x"}]}"#]
        {
            assert!(matches!(parse(text), Err(InvalidKeyRing::Malformed(_))), "{text:?}");
        }
        let twice = format!(r#"{{"keys":[{{"kid":"a","secret":"{RANDOM}"}},{{"kid":"a","secret":"{OTHER}"}}]}}"#);
        assert_eq!(parse(&twice), Err(InvalidKeyRing::Repeated("a".to_owned())));
    }

    /// Created by `openssl genpkey` for these tests.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6B9zt0dYZhgT2qNb
g+PF2T7+/eD0sWWED6pTINfZcxehRANCAAStIyaSSmmNZItmqUFAPb6fECfIfXGj
kPhZYvJKLbO6gANnnfjSTPaFaCsP8t9tAweU8YzfPEvoz1GQoA6Uz+An
-----END PRIVATE KEY-----
";

    #[test]
    fn a_private_key_is_a_ring_of_one_key_and_publishes_only_its_public_key() -> Result<(), Box<dyn std::error::Error>>
    {
        let ring = KeyRing::parse(PRIVATE)?;
        // Computed with OpenSSL and the rule of RFC 7638.
        let expected = serde_json::json!({ "keys": [{
            "kid": "xb9Z1E1-tds5bhYrp4hK_6_ZcRX9cJGEL0BGU4J_pUI",
            "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256",
            "x": "rSMmkkppjWSLZqlBQD2-nxAnyH1xo5D4WWLySi2zuoA",
            "y": "A2ed-NJM9oVoKw_y320DB5TxjN88S-jPUZCgDpTP4Cc",
        }] });
        assert_eq!(serde_json::to_value(ring.verifying().public_keys())?, expected);
        Ok(())
    }

    #[test]
    fn a_ring_may_contain_both_kinds() -> Result<(), Box<dyn std::error::Error>> {
        let text = serde_json::json!({ "keys": [
            { "kid": "pair", "private_key": PRIVATE }, { "kid": "secret", "secret": RANDOM },
        ] });
        let ring = KeyRing::parse(&text.to_string())?;
        assert_eq!(ring.signing().algorithm, Algorithm::ES256);
        assert_eq!(ring.verifying().find("secret").map(|key| key.verifying.algorithm()), Some("HS256"));
        assert!(ring.public_text().is_err(), "a verifier with public keys only would reject tokens of the secret");
        assert_eq!(serde_json::to_value(ring.verifying().public_keys())?["keys"].as_array().map(Vec::len), Some(1));
        Ok(())
    }

    #[test]
    fn public_keys_verify_the_tokens_of_their_ring() -> Result<(), Box<dyn std::error::Error>> {
        let ring = KeyRing::parse(PRIVATE)?;
        let public = VerifyingKeys::parse(&ring.public_text()?)?;
        assert!(public.verify_tokens_of(&ring));
        assert_eq!(serde_json::to_value(public.public_keys())?, serde_json::to_value(ring.verifying().public_keys())?);
        assert!(!VerifyingKeys::parse(r#"{"keys":[]}"#)?.verify_tokens_of(&ring));
        assert!(VerifyingKeys::parse(RANDOM)?.verify_tokens_of(&KeyRing::parse(RANDOM)?), "a shared secret");
        Ok(())
    }

    #[test]
    fn a_key_set_with_another_key_is_rejected() -> Result<(), Box<dyn std::error::Error>> {
        let set: serde_json::Value = serde_json::from_str(&KeyRing::parse(PRIVATE)?.public_text()?)?;
        for (member, value) in
            [("kty", "RSA"), ("alg", "ES384"), ("use", "enc"), ("crv", "P-384"), ("x", "AAAA"), ("kid", "")]
        {
            let mut set = set.clone();
            set["keys"][0][member] = value.into();
            assert!(VerifyingKeys::parse(&set.to_string()).is_err(), "{member}");
        }
        let mut twice = set.clone();
        twice["keys"] = [set["keys"][0].clone(), set["keys"][0].clone()].into_iter().collect();
        assert!(matches!(VerifyingKeys::parse(&twice.to_string()), Err(InvalidKeyRing::Repeated(_))));
        Ok(())
    }

    #[test]
    fn another_type_of_private_key_is_rejected() {
        // Ed25519, created by `openssl genpkey`.
        let other = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIMNZLubD5YQvOtXAy7F/oGx1kwrIi+20/UdjI4nWE0Yg\n-----END PRIVATE KEY-----";
        for text in [other, "-----BEGIN PRIVATE KEY-----", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
        {
            assert!(matches!(parse(text), Err(InvalidKeyRing::PrivateKey(_))), "{text:?}");
        }
        let both = serde_json::json!({ "keys": [{ "kid": "a", "private_key": PRIVATE, "secret": RANDOM }] });
        assert!(matches!(parse(&both.to_string()), Err(InvalidKeyRing::Malformed(_))));
    }

    #[test]
    fn no_message_contains_a_secret() {
        for text in ["hunter2", &"z".repeat(40), "super-secret-jwt-token-with-at-least-32-characters-long"] {
            let message = parse(text).expect_err("a bad secret").to_string();
            assert!(!message.contains(text) && message.contains("openssl rand -hex 32"), "{message}");
            assert!(!message.contains(&thumbprint(&format!("kid:{text}"))), "{message}");
        }
        for text in [r#"{"keys":["hunter2"]}"#, r#"{"keys":"hunter2"}"#, r#"{"keys":[{"kid":"a","hunter2":1}]}"#] {
            let message = parse(text).expect_err("not a ring").to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
