//! `GET /api/data/{key}`: the value that the caller stored under `key`.

use shared::App;
use shared::db::{self, data::Found};
use shared::domain::{Key, VersionMatch};
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::get("/api/data/{key+}");

/// Answers 200 with the entry, or 304 if the caller has it already.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let key: Key = http::path(&request, "key")?;
    let known = http::if_none_match(&request)?.unwrap_or(VersionMatch::Among(Vec::new()));
    Ok(match db::data::find(app.db(), session, &key, &known, app.now()).await? {
        Found::Entry(entry) => Reply::ok().etag(entry.version).data(&entry),
        Found::Known(version) => Reply::not_modified().etag(version),
    })
}
