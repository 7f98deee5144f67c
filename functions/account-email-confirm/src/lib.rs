//! `POST /api/account/email/confirm`: change the caller's email address to the one that a code was mailed to.

use shared::App;
use shared::audit::Event;
use shared::auth::key_ring::KeyRing;
use shared::db::Role;
use shared::db::mailed_codes::CodeUse;
use shared::domain::CodePurpose;
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};
use shared::mail::Message;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/account/email/confirm");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::EmailConfirm;

/// Changes the address, ends all sessions of the user, and returns 200 with the tokens of a new one.
pub async fn handle(app: App<KeyRing>, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let mut body = Body::read(&request)?;
    let code = body.mailed_code();
    let checked = app.check_code(CodePurpose::EmailChange, body.finish(code)?, Some(session)).await?;
    let (owner, device, started) = (&checked.owner, app.device(&request), app.new_session(session.user)?);
    let message = || Message::email_changed(owner.email.clone(), owner.username.clone(), app.now());
    let announcement = app.announcement(message);
    let change = CodeUse::ChangeEmail { session, new: started.on(&device), announcement: announcement.as_ref() };
    app.use_code(&checked, change, &device).await?;
    Event::EmailChanged(session).record();
    app.announce(announcement).await;
    let tokens = app.first_tokens(&started).await?;
    Ok(Reply::message_and_data("Email address changed. All sessions have ended, and a new one has started.", &tokens))
}
