//! `PATCH /api/account`: change the caller's name, age, or gender.

use shared::App;
use shared::audit::Event;
use shared::db::{self, Role};
use shared::domain::ProfileChange;
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::patch("/api/account");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Profiles;

/// Changes the given fields and returns 200 with the account.
pub async fn handle(app: App, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let change = read(&request)?;
    let account = db::users::update(app.db(), session, &change, &app.device(&request), app.now()).await?;
    Event::AccountUpdated(session).record();
    Ok(Reply::message_and_data("Account updated", &account))
}

/// Reads the changes. `null` is rejected, because no field of an account can be removed.
fn read(request: &Request) -> Result<ProfileChange, ApiError> {
    const CHANGEABLE: [&str; 3] = ["full_name", "age", "gender"];
    let mut body = Body::read(request)?;
    let mut change = ProfileChange::default();
    if body.has("full_name") {
        change.full_name = body.text("full_name", Code::InvalidRequest);
    }
    if body.has("age") {
        change.age = body.number("age", Code::InvalidAge);
    }
    if body.has("gender") {
        change.gender = body.text_or("gender", Code::InvalidRequest, Code::GenderRequired);
    }
    if body.has("username") {
        body.fault("username", Code::InvalidRequest, "username cannot be changed");
    }
    if body.has("email") {
        body.fault("email", Code::InvalidRequest, "email must be changed by POST /api/account/email");
    }
    if body.has("password") {
        body.fault("password", Code::InvalidRequest, "password must be changed by PUT /api/account/password");
    }
    if !CHANGEABLE.iter().any(|field| body.has(field)) {
        body.fault("body", Code::InvalidRequest, format!("send at least one of {}", CHANGEABLE.join(", ")));
    }
    body.finish(Some(change))
}
