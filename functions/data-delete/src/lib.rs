//! `DELETE /api/data/{key}`: delete a value.

use shared::App;
use shared::db::{self, Role};
use shared::domain::{Key, VersionMatch};
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::delete("/api/data/{key+}").with_entity_tags();
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Writer;

/// Deletes the value and returns 200. The error for a missing key is `KEY_NOT_FOUND`.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let key: Key = http::path(&request, "key")?;
    let required = http::if_match(&request)?.unwrap_or(VersionMatch::Any);
    let excluded = http::if_none_match(&request)?.unwrap_or(VersionMatch::NONE);
    db::data::delete(app.db(), session, &key, [&required, &excluded], app.now()).await?;
    Ok(Reply::message("Value deleted"))
}
