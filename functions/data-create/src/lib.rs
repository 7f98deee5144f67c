//! `POST /api/data`: a value under a new key.

use shared::App;
use shared::db::{self, data::Draft};
use shared::domain::Condition;
use shared::error::{ApiError, Code};
use shared::http::{self, Body, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::post("/api/data");

/// Answers 201 with the entry; a key that exists is refused.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let now = app.now();
    let mut body = Body::read(&request)?;
    let (key, value, lifetime) = (body.text("key", Code::InvalidKey), body.value(), body.lifetime());
    let (key, value) = body.finish(key.zip(value))?;
    let draft = Draft { key, value, expires_at: lifetime.map(|lifetime| lifetime.from(now)) };
    let entry = db::data::write(app.db(), session, draft, &Condition::Absent, app.settings().quota, now).await?.entry;
    Ok(Reply::created().message("Stored").etag(entry.version).location(http::data_path(&entry.key)).data(&entry))
}
