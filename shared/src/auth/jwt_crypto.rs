//! Signatures of access tokens: HMAC-SHA-256 and ECDSA on P-256 from `ring`, which TLS needs anyway.
//!
//! `jsonwebtoken` signs with the provider of this module. Its own providers are not used: `rust_crypto` depends on an RSA
//! crate with an open advisory, and `aws_lc_rs` adds 42 ms to each cold start.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey};
use signature::Signer;

static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: signer, verifier_factory: no_verifier, key_utils: KeyUtils::new_unimplemented() };

/// Installs this provider for the process. Repeated calls have no effect.
pub(crate) fn install() {
    // Fails only if a provider is installed already.
    let _ = PROVIDER.install_default();
}

/// Parses a P-256 key pair in PKCS#8.
pub(super) fn key_pair(pkcs8: &[u8]) -> std::result::Result<EcdsaKeyPair, ring::error::KeyRejected> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
}

/// Generates a P-256 key pair in PKCS#8.
pub(super) fn new_key_pair() -> std::result::Result<ring::pkcs8::Document, ring::error::Unspecified> {
    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "`CryptoProvider` defines the signature")]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => Ok(Box::new(Hs256::new(key.as_bytes()))),
        (Algorithm::ES256, AlgorithmFamily::Ec) => {
            Ok(Box::new(Es256Signer(key_pair(key.as_bytes()).map_err(|_| ErrorKind::InvalidEcdsaKey)?)))
        }
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

/// Tokens are verified by [`VerifyingKey`] only.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "`CryptoProvider` defines the signature")]
fn no_verifier(_: &Algorithm, _: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

/// A key that verifies signatures of one algorithm. It is prepared once, because the preparation of an HMAC key takes as long
/// as the verification of a short token.
pub(super) enum VerifyingKey {
    /// HS256 (RFC 7518 §3.2).
    Hmac(hmac::Key),
    /// ES256 (RFC 7518 §3.4): an uncompressed curve point.
    P256(UnparsedPublicKey<Vec<u8>>),
}

impl VerifyingKey {
    pub(super) fn from_secret(secret: &[u8]) -> Self {
        Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub(super) fn from_point(point: &[u8]) -> Self {
        Self::P256(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.to_vec()))
    }

    /// Returns the algorithm as it is named in token headers.
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "HS256",
            Self::P256(_) => "ES256",
        }
    }

    /// Whether a signature is valid. HMACs are compared in constant time.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::P256(key) => key.verify(message, signature).is_ok(),
        }
    }
}

struct Hs256(hmac::Key);

impl Hs256 {
    fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

struct Es256Signer(EcdsaKeyPair);

impl Signer<Vec<u8>> for Es256Signer {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let signed = self.0.sign(&SystemRandom::new(), message).map_err(|_| signature::Error::new())?;
        Ok(signed.as_ref().to_vec())
    }
}

impl JwtSigner for Es256Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}
