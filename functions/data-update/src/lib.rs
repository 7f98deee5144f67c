//! `PUT /api/data/{key}`: another value for a key, or its first.

use std::time::SystemTime;

use shared::App;
use shared::db;
use shared::db::data::{Draft, Refusal, Written};
use shared::domain::{Condition, VersionMatch};
use shared::error::{ApiError, Code};
use shared::http::{self, Body, Query, Reply, Request, Route};

/// The route.
pub const ROUTE: Route = Route::put("/api/data/{key+}");

/// Answers 200 with the entry, or 201 if the request may create the key and did.
///
/// The value is replaced together with its expiry: without `expires_in` it lasts.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let (upsert, now) = (Query::of(&request).flag("upsert")?, app.now());
    let condition = condition(&request, upsert)?;
    let draft = read(&request, now)?;
    let written = db::data::write(app.db(), session, draft, &condition, app.settings().quota, now).await;
    let Written { entry, created } = written.map_err(|refusal| refused(refusal, upsert))?;
    let reply = if created { Reply::created().location(http::data_path(&entry.key)) } else { Reply::ok() };
    Ok(reply.message("Stored").etag(entry.version).data(&entry))
}

fn read(request: &Request, now: SystemTime) -> Result<Draft, ApiError> {
    let key = http::path(request, "key")?;
    let mut body = Body::read(request)?;
    let (value, lifetime) = (body.value(), body.lifetime());
    Ok(Draft { key, value: body.finish(value)?, expires_at: lifetime.map(|lifetime| lifetime.from(now)) })
}

fn condition(request: &Request, upsert: bool) -> Result<Condition, ApiError> {
    let refuse = |message| Err(ApiError::invalid("if-none-match", Code::InvalidRequest, message));
    match (http::if_match(request)?, http::if_none_match(request)?) {
        (Some(_), Some(_)) => refuse("send either If-Match or If-None-Match"),
        (None, Some(VersionMatch::Among(_))) => {
            refuse("If-None-Match must be * here: it creates a key that does not exist")
        }
        (None, Some(VersionMatch::Any)) => Ok(Condition::Absent),
        (Some(versions), None) => Ok(Condition::Present(versions)),
        (None, None) if upsert => Ok(Condition::None),
        (None, None) => Ok(Condition::Present(VersionMatch::Any)),
    }
}

/// A key that exists only `If-None-Match` refuses here, and one that does not only `If-Match` where the request may create
/// it (RFC 9110 §13.2.1: a condition counts where the request would succeed without it).
fn refused(refusal: Refusal, upsert: bool) -> ApiError {
    match refusal {
        Refusal::Exists => ApiError::PreconditionFailed,
        Refusal::NotFound if upsert => ApiError::PreconditionFailed,
        refusal => refusal.into(),
    }
}
