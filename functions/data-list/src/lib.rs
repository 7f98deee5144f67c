//! `GET /api/data`: list the caller's keys, page by page.

use serde::Serialize;
use shared::App;
use shared::db::data::PageRequest;
use shared::db::{self, Role};
use shared::domain::{Entry, KeyPrefix, Limit, cursor};
use shared::error::ApiError;
use shared::http::{Query, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/data");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Reader;

#[derive(Serialize)]
struct List {
    items: Vec<Entry>,
    next_cursor: Option<String>,
}

/// Returns 200 with a page of the keys that start with `prefix`, in byte order. Concurrent writes do not cause a key to
/// be repeated or skipped, unless they create or delete that key.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let query = Query::of(&request);
    let prefix: KeyPrefix = query.get("prefix")?.unwrap_or_default();
    let limit: Limit = query.get("limit")?.unwrap_or_default();
    let after = query.get_by("cursor", |text| cursor::read(text, session.user, &prefix))?;
    let page = PageRequest { prefix: &prefix, after: after.as_ref(), limit, values: query.flag("values")? };
    let page = db::data::list(app.db(), session, page, app.now()).await?;
    let next_cursor = page.next.map(|key| cursor::write(session.user, &prefix, &key));
    Ok(Reply::data(&List { items: page.entries, next_cursor }))
}
