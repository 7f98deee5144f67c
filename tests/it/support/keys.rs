//! Signing keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

/// The signing secret of the service in the tests.
pub const SECRET: &str = "9f8a1c0d5be24f7a8e3b6c1d2f405968";
/// Its `kid`.
pub const SECRET_ID: &str = "test-key";

/// Generates a P-256 key pair in the format of `openssl genpkey`.
pub fn private_key() -> String {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let base64 = STANDARD.encode(document.expect("a system with randomness"));
    format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n")
}
