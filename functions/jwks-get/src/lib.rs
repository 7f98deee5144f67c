//! `GET /.well-known/jwks.json`: return the public keys that verify access tokens (RFC 7517).

use std::sync::Arc;

use shared::auth::verifying_keys::VerifyingKeys;
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};
use shared::secrets::{self, Secrets};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/.well-known/jwks.json").with_entity_tags();

/// Returns 200 with the key set, which is empty if tokens are signed with a shared secret, or 304 if `If-None-Match` names it.
/// Caches may keep it for five minutes.
pub async fn handle(secrets: Arc<Secrets<VerifyingKeys>>, request: Request) -> Result<Reply, ApiError> {
    Reply::document(&request, secrets.keys().await.public_keys().text(), secrets::REFRESH_AGE)
}
