//! The keys that verify access tokens, and their public form.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde::{Deserialize, Serialize};

use super::jwt_crypto::VerifyingKey;

/// Keys that verify access tokens. They sign nothing if all of them are public keys.
pub struct VerifyingKeys(pub(super) Vec<Key>);

/// A key with its id in token headers (`kid`, RFC 7515 §4.1.4). It has only one algorithm (RFC 8725 §3.1).
pub(super) struct Key {
    pub(super) id: String,
    pub(super) verifying: VerifyingKey,
    pub(super) public: Option<PublicKey>,
}

/// The public keys of a ring as a JWK Set (RFC 7517 §5).
#[derive(Serialize)]
pub struct PublicKeys<'a> {
    pub(super) keys: Vec<&'a PublicKey>,
}

/// A public key as a JWK (RFC 7518 §6.2).
#[derive(Deserialize, Serialize)]
pub(super) struct PublicKey {
    kid: String,
    kty: Cow<'static, str>,
    #[serde(rename = "use")]
    usage: Cow<'static, str>,
    alg: Cow<'static, str>,
    crv: Cow<'static, str>,
    x: String,
    y: String,
}

/// `kty`, `use`, `alg`, and `crv` of a public key.
const EC_P256: [&str; 4] = ["EC", "sig", "ES256", "P-256"];
/// Bytes of a coordinate of P-256.
const COORDINATE_BYTES: usize = 32;

/// The keys of a function that verifies access tokens.
pub trait Verifies {
    /// Returns the keys that verify.
    fn verifying(&self) -> &VerifyingKeys;
}

impl Verifies for VerifyingKeys {
    fn verifying(&self) -> &VerifyingKeys {
        self
    }
}

impl PublicKeys<'_> {
    /// Returns the JSON text.
    pub fn text(&self) -> String {
        // The serialization of strings cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl VerifyingKeys {
    /// Returns the public keys. A ring of secrets has none.
    pub fn public_keys(&self) -> PublicKeys<'_> {
        PublicKeys { keys: self.0.iter().filter_map(|key| key.public.as_ref()).collect() }
    }

    /// Returns the key with an id.
    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl Key {
    /// Makes the key of a secret.
    pub(super) fn from_secret(id: String, secret: &[u8]) -> Self {
        Self { id, verifying: VerifyingKey::from_secret(secret), public: None }
    }

    /// Makes the key of a point of P-256: the byte 4, then x and y (SEC 1 §2.3.3). Without an `id`, the key's thumbprint
    /// (RFC 7638) becomes its id. None if the point has another length.
    pub(super) fn from_point(id: Option<String>, point: &[u8]) -> Option<Self> {
        let (x, y) = point.get(1..)?.split_at_checked(COORDINATE_BYTES)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let id = id.unwrap_or_else(|| thumbprint(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)));
        let [kty, usage, alg, crv] = EC_P256.map(Cow::Borrowed);
        let public = PublicKey { kid: id.clone(), kty, usage, alg, crv, x, y };
        Some(Self { id, verifying: VerifyingKey::from_point(point), public: Some(public) })
    }

    /// Makes the key of a JWK. None if it has another type or no point. `ring` rejects a point that is not on the curve at
    /// each verification.
    pub(super) fn from_public(public: PublicKey) -> Option<Self> {
        if [&public.kty, &public.usage, &public.alg, &public.crv].map(AsRef::as_ref) != EC_P256 {
            return None;
        }
        let mut point = vec![4];
        for coordinate in [&public.x, &public.y] {
            let coordinate = URL_SAFE_NO_PAD.decode(coordinate).ok().filter(|bytes| bytes.len() == COORDINATE_BYTES)?;
            point.extend(coordinate);
        }
        Some(Self { id: public.kid.clone(), verifying: VerifyingKey::from_point(&point), public: Some(public) })
    }
}

/// Makes an id: the SHA-256 of a key's identifying text in base64url. It does not reveal a secret of 256 bits.
pub(super) fn thumbprint(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, key.as_bytes()))
}
