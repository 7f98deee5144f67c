//! `GET /api/data`: the caller's keys, a page at a time.

use serde::Serialize;
use shared::App;
use shared::db::{self, data::PageOf};
use shared::domain::{Entry, KeyPrefix, Limit, cursor};
use shared::error::ApiError;
use shared::http::{Query, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::get("/api/data");

#[derive(Serialize)]
struct List {
    items: Vec<Entry>,
    next_cursor: Option<String>,
}

/// Answers 200 with a page of what begins with `prefix`, in the order of the keys' bytes. A key that is there all along is on
/// exactly one page, whatever is written meanwhile.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let query = Query::of(&request);
    let prefix: KeyPrefix = query.get("prefix")?.unwrap_or_default();
    let limit: Limit = query.get("limit")?.unwrap_or_default();
    let after = query.get_by("cursor", |text| cursor::read(text, session.user, &prefix))?;
    let page = PageOf { prefix: &prefix, after: after.as_ref(), limit, values: query.flag("values")? };
    let page = db::data::list(app.db(), session, page, app.now()).await?;
    let next_cursor = page.next.map(|key| cursor::write(session.user, &prefix, &key));
    Ok(Reply::ok().data(&List { items: page.entries, next_cursor }))
}
