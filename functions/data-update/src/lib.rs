//! `PUT /api/data/{key}`: replace or create a value.

use std::time::SystemTime;

use shared::App;
use shared::db::data::{self, NewEntry, Written};
use shared::db::{self, Role};
use shared::domain::{Condition, VersionMatch};
use shared::error::{ApiError, Code};
use shared::http::{self, Body, Query, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::put("/api/data/{key+}").with_entity_tags();
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Writer;

/// Stores the value and returns 200 with the entry, or 201 if it created the key.
///
/// Without `expires_in` the value does not expire, even if it replaces one that did.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let (upsert, now) = (Query::of(&request).flag("upsert")?, app.now());
    let condition = condition(&request, upsert)?;
    let new = read(&request, now)?;
    let written = db::data::write(app.db(), session, new, &condition, app.settings().quota, now).await;
    let Written { entry, created } = written.map_err(|error| translate(error, upsert))?;
    let reply = Reply::message_and_data("Value stored", &entry).etag(entry.version);
    Ok(if created { reply.created().location(http::data_path(&entry.key)) } else { reply })
}

fn read(request: &Request, now: SystemTime) -> Result<NewEntry, ApiError> {
    let key = http::path(request, "key")?;
    let mut body = Body::read(request)?;
    let (value, lifetime) = (body.value(), body.lifetime());
    Ok(NewEntry { key, value: body.finish(value)?, expires_at: lifetime.map(|lifetime| lifetime.from(now)) })
}

fn condition(request: &Request, upsert: bool) -> Result<Condition, ApiError> {
    let invalid = |message| Err(ApiError::invalid("if-none-match", Code::InvalidRequest, message));
    match (http::if_match(request)?, http::if_none_match(request)?) {
        (Some(_), Some(_)) => invalid("send either If-Match or If-None-Match"),
        (None, Some(VersionMatch::Among(_))) => {
            invalid("If-None-Match must be * here: it creates a key that does not exist")
        }
        (None, Some(VersionMatch::Any)) => Ok(Condition::Absent),
        (Some(versions), None) => Ok(Condition::Present(versions)),
        (None, None) if upsert => Ok(Condition::None),
        (None, None) => Ok(Condition::Present(VersionMatch::Any)),
    }
}

/// Converts an error into a failed precondition if only a precondition can be its cause: `If-None-Match` for an
/// existing key, and `If-Match` for a missing key that the request may create. A precondition applies only to a request
/// that would succeed without it (RFC 9110 §13.2.1).
fn translate(error: data::Error, upsert: bool) -> ApiError {
    match error {
        data::Error::Exists(version) => ApiError::PreconditionFailed(Some(version)),
        data::Error::NotFound if upsert => ApiError::PreconditionFailed(None),
        error => error.into(),
    }
}
