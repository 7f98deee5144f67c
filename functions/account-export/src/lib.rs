//! `GET /api/account/export`: export all stored data of the caller, page by page.

use std::time::SystemTime;

use serde::Serialize;
use shared::App;
use shared::db::data::PageRequest;
use shared::db::{self, Role};
use shared::domain::{Account, AccountEvent, Entry, KeyPrefix, KnownNetwork, Lifetime, Limit, SessionInfo, cursor};
use shared::error::ApiError;
use shared::http::{Query, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::get("/api/account/export");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Exporter;

/// A page of the export. Only the first page has the account, its sessions, its networks, and its newest events. The page is a valid
/// body of `POST /api/data/batch`.
#[derive(Serialize)]
struct Export {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<Vec<SessionInfo>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known_networks: Option<Vec<KnownNetwork>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<AccountEvent>>,
    operations: Vec<Restore>,
    next_cursor: Option<String>,
}

/// A batch operation that restores a value. A batch ignores the other members of the entry.
#[derive(Serialize)]
struct Restore {
    op: &'static str,
    upsert: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(flatten)]
    entry: Entry,
}

/// Returns 200 with a page of at most 100 values, the limit of a batch.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let (prefix, now) = (KeyPrefix::default(), app.now());
    let query = Query::of(&request);
    let limit = query.get("limit")?.unwrap_or(Limit::BATCH).at_most(Limit::BATCH);
    let after = query.get_by("cursor", |text| cursor::read(text, session.user, &prefix))?;
    let (account, sessions, known_networks, events) = if after.is_some() {
        (None, None, None, None)
    } else {
        let account = db::users::find(app.db(), session, now).await?;
        let sessions = db::sessions::list(app.db(), session, now).await?;
        let known_networks = db::known_networks::list(app.db(), session, now).await?;
        let events = db::account_events::list(app.db(), session, None, Limit::HIGHEST, now).await?.events;
        (Some(account), Some(sessions), Some(known_networks), Some(events))
    };
    let page = PageRequest { prefix: &prefix, after: after.as_ref(), limit, values: true };
    let page = db::data::list(app.db(), session, page, now).await?;
    let next_cursor = page.next.map(|key| cursor::write(session.user, &prefix, &key));
    let operations = page.entries.into_iter().map(|entry| restore(entry, now)).collect();
    Ok(Reply::data(&Export { account, sessions, known_networks, events, operations, next_cursor }))
}

fn restore(entry: Entry, now: SystemTime) -> Restore {
    let expires_in = entry.expires_at.map(|expires_at| Lifetime::until(expires_at, now).seconds());
    Restore { op: "put", upsert: true, expires_in, entry }
}
