//! `GET /api/account/export`: everything that the service holds about the caller, a page at a time.

use std::time::SystemTime;

use serde::Serialize;
use shared::App;
use shared::db::{self, data::PageOf};
use shared::domain::{Account, Entry, KeyPrefix, Lifetime, Limit, SessionInfo, cursor};
use shared::error::ApiError;
use shared::http::{Query, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::get("/api/account/export");

/// The account and its sessions are on the first page only. `operations` is what `POST /api/data/batch` takes.
#[derive(Serialize)]
struct Export {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<Vec<SessionInfo>>,
    operations: Vec<Restore>,
    next_cursor: Option<String>,
}

/// A stored value as an operation that stores it, and what else is known about it, which a batch does not look at.
#[derive(Serialize)]
struct Restore {
    op: &'static str,
    upsert: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(flatten)]
    entry: Entry,
}

/// Answers 200 with a page of at most 100 values, as many as a batch takes.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let (prefix, now) = (KeyPrefix::default(), app.now());
    let query = Query::of(&request);
    let limit = query.get("limit")?.unwrap_or(Limit::BATCH).at_most(Limit::BATCH);
    let after = query.get_by("cursor", |text| cursor::read(text, session.user, &prefix))?;
    let (account, sessions) = match after {
        Some(_) => (None, None),
        None => {
            let account = db::users::find(app.db(), session, now).await?;
            (Some(account), Some(db::sessions::list(app.db(), session, now).await?))
        }
    };
    let page = PageOf { prefix: &prefix, after: after.as_ref(), limit, values: true };
    let page = db::data::list(app.db(), session, page, now).await?;
    let next_cursor = page.next.map(|key| cursor::write(session.user, &prefix, &key));
    let operations = page.entries.into_iter().map(|entry| restore(entry, now)).collect();
    Ok(Reply::ok().data(&Export { account, sessions, operations, next_cursor }))
}

fn restore(entry: Entry, now: SystemTime) -> Restore {
    let expires_in = entry.expires_at.map(|expires_at| Lifetime::until(expires_at, now).seconds());
    Restore { op: "put", upsert: true, expires_in, entry }
}
