//! Passwords and tokens: rules and cryptography. No HTTP, no SQL, no clock.

pub mod access_token;
pub mod admin_token;
pub mod digest_keys;
mod jwt_crypto;
pub mod jwt_secret;
pub mod key_ring;
pub mod key_rotation;
pub mod password_check;
pub mod password_hash;
pub mod rate_limit;
pub mod refresh_token;
pub mod throttle;
pub mod token_cache;
pub mod verifying_keys;
