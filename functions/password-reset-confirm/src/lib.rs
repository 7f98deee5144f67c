//! `POST /api/password-reset/confirm`: set a new password with a mailed code.

use shared::App;
use shared::audit::Event;
use shared::auth::digest_keys::DigestKeys;
use shared::db::Role;
use shared::db::mailed_codes::CodeUse;
use shared::domain::CodePurpose;
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};
use shared::mail::Message;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/password-reset/confirm");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::ResetConfirm;

/// Sets the password, ends all sessions of the user, lifts the throttle, and returns 200. A password that the rules reject does
/// not use up the code.
pub async fn handle(app: App<DigestKeys>, request: Request) -> Result<Reply, ApiError> {
    let mut body = Body::read(&request)?;
    let (code, new) = (body.mailed_code(), body.new_password("new_password", app.settings().password_policy));
    let (code, new) = body.finish(code.zip(new))?;
    let checked = app.check_code(CodePurpose::PasswordReset, code, None).await?;
    let owner = &checked.owner;
    new.check_owner(&owner.username, &owner.email)
        .map_err(|error| ApiError::invalid("new_password", Code::InvalidPassword, error))?;
    let password = app.hash_password(new).await?;
    let device = app.device(&request);
    let throttled = app.throttle_subjects(owner, device.network.as_ref()).await;
    let message = || Message::password_changed(owner.email.clone(), owner.username.clone(), app.now());
    let announcement = app.announcement(message);
    let change =
        CodeUse::ResetPassword { password: &password, throttled: &throttled, announcement: announcement.as_ref() };
    app.use_code(&checked, change, &device).await?;
    Event::PasswordReset(owner.user).record();
    app.announce(announcement).await;
    Ok(Reply::message("Password changed. All sessions have ended. Sign in with the new password."))
}
