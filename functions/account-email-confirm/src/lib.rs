//! `POST /api/account/email/confirm`: change the caller's email address to the one that a code was mailed to.

use shared::App;
use shared::app::invalid_code;
use shared::audit::Event;
use shared::auth::key_ring::KeyRing;
use shared::db::Role;
use shared::db::mailed_codes::{self, CodeUse};
use shared::domain::{CodePurpose, Handle, MailedCode};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};
use shared::mail::Message;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/account/email/confirm");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::EmailConfirm;

/// Changes the address, ends all sessions of the user, and returns 200 with the tokens of a new one.
pub async fn handle(app: App<KeyRing>, request: Request) -> Result<Reply, ApiError> {
    const PURPOSE: CodePurpose = CodePurpose::EmailChange;
    let session = app.session(&request).await?;
    let (handle, code) = read(&request)?;
    let checked = app.check_code(PURPOSE, handle, &code, Some(session)).await?;
    let (owner, device, started) = (&checked.owner, app.device(&request), app.new_session(session.user)?);
    let message = || Message::email_changed(owner.email.clone(), owner.username.clone(), app.now());
    let announcement = app.announcement(message);
    let change = CodeUse::ChangeEmail { session, new: started.on(&device), announcement: announcement.as_ref() };
    if !mailed_codes::apply(app.db(), &checked.code, session.user, change, app.now()).await? {
        return Err(invalid_code(PURPOSE));
    }
    Event::EmailChanged(session).record();
    app.announce(announcement).await;
    let tokens = app.first_tokens(&started).await?;
    Ok(Reply::message_and_data("Email address changed. All sessions have ended, and a new one has started.", &tokens))
}

fn read(request: &Request) -> Result<(Handle, MailedCode), ApiError> {
    let mut body = Body::read(request)?;
    let handle = body.text("handle", Code::InvalidRequest);
    let code = body.text("code", Code::InvalidRequest);
    body.finish(handle.zip(code))
}
