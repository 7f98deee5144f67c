//! How a user proves who they are: password hashes, access tokens, refresh tokens. No HTTP, no SQL.

pub mod access_token;
pub mod guessing;
pub mod jwt_crypto;
pub mod key_ring;
pub mod key_rotation;
pub mod password_hash;
pub mod refresh_token;
