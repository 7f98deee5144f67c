//! `GET /api/data/{key}`: read a value.

use shared::App;
use shared::db::data::Lookup;
use shared::db::{self, Role};
use shared::domain::{Key, VersionMatch};
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/data/{key+}").with_entity_tags();
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Reader;

/// Returns 200 with the entry, or 304 if `If-None-Match` names its version.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let key: Key = http::path(&request, "key")?;
    let required = http::if_match(&request)?.unwrap_or(VersionMatch::Any);
    let known = http::if_none_match(&request)?.unwrap_or(VersionMatch::NONE);
    let found = db::data::find(app.db(), session, &key, &known, app.now()).await?;
    if !required.includes(found.version()) {
        return Err(ApiError::PreconditionFailed(Some(found.version())));
    }
    Ok(match found {
        Lookup::Modified(entry) => Reply::data(&entry).etag(entry.version),
        Lookup::NotModified(version) => Reply::not_modified().etag(version),
    })
}
