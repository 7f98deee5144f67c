//! `POST /api/data`: store a value under a new key.

use shared::App;
use shared::db::data::NewEntry;
use shared::db::{self, Role};
use shared::domain::Condition;
use shared::error::{ApiError, Code};
use shared::http::{self, Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/data");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Writer;

/// Stores the value and returns 201 with the entry. The error for an existing key is `KEY_EXISTS`.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let now = app.now();
    let mut body = Body::read(&request)?;
    let (key, value, lifetime) = (body.text("key", Code::InvalidKey), body.value(), body.lifetime());
    let (key, value) = body.finish(key.zip(value))?;
    let new = NewEntry { key, value, expires_at: lifetime.map(|lifetime| lifetime.from(now)) };
    let entry = db::data::write(app.db(), session, new, &Condition::Absent, app.settings().quota, now).await?.entry;
    let reply = Reply::message_and_data("Value stored", &entry).created();
    Ok(reply.etag(entry.version).location(http::data_path(&entry.key)))
}
