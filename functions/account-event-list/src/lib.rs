//! `GET /api/account/events`: list the security events of the caller's account.

use serde::Serialize;
use shared::App;
use shared::db::{self, Role};
use shared::domain::{AccountEvent, EventId};
use shared::error::ApiError;
use shared::http::{Query, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/account/events");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Accounts;

#[derive(Serialize)]
struct Events {
    items: Vec<AccountEvent>,
    next_cursor: Option<EventId>,
}

/// Returns 200 with a page of the events of the last 90 days, the newest first.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let query = Query::of(&request);
    let (limit, before) = (query.get("limit")?.unwrap_or_default(), query.get("cursor")?);
    let page = db::account_events::list(app.db(), session, before, limit, app.now()).await?;
    Ok(Reply::data(&Events { items: page.events, next_cursor: page.next }))
}
