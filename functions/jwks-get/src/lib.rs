//! `GET /.well-known/jwks.json`: the public keys that access tokens can be verified with (RFC 7517).

use std::sync::Arc;

use shared::auth::key_ring::KeyRing;
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};
use shared::secrets::{self, Secrets};

/// The route.
pub const ROUTE: Route = Route::get("/.well-known/jwks.json");

/// Answers 200 with the key set, which is empty where tokens are signed with a secret. It may be kept for as long as the
/// functions themselves keep it.
pub async fn handle(secrets: Arc<Secrets<KeyRing>>, _: Request) -> Result<Reply, ApiError> {
    Ok(Reply::document(&secrets.keys().await.public_keys(), secrets::MAX_AGE))
}
