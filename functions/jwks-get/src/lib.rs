//! `GET /.well-known/jwks.json`: return the public keys that verify access tokens (RFC 7517).

use std::sync::Arc;

use shared::auth::verifying_keys::VerifyingKeys;
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};
use shared::secrets::{self, Secrets};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/.well-known/jwks.json");

/// Returns 200 with the key set, which is empty if tokens are signed with a shared secret. Caches may keep it for
/// five minutes.
pub async fn handle(secrets: Arc<Secrets<VerifyingKeys>>, _: Request) -> Result<Reply, ApiError> {
    Ok(Reply::document(&secrets.keys().await.public_keys(), secrets::REFRESH_AGE))
}
