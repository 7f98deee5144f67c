//! Signing keys.

use pem::Pem;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

/// The signing secret of the service in the tests.
pub const SECRET: &str = "9f8a1c0d5be24f7a8e3b6c1d2f405968";
/// The token of operators in the tests.
pub const ADMIN_TOKEN: &str = "7c2d90f1e4b85a36d1907f3e2c6b8a45";
/// Its `kid`.
pub const KEY_ID: &str = "test-key";

/// Generates a P-256 key pair in the format of `openssl genpkey`.
pub fn private_key() -> String {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let document = document.expect("a system with randomness");
    pem::encode(&Pem::new("PRIVATE KEY", document.as_ref()))
}
