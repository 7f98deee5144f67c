//! `PUT /api/account/password`: change the caller's password.

use shared::App;
use shared::app::SessionStart;
use shared::audit::Event;
use shared::auth::key_ring::KeyRing;
use shared::db::Role;
use shared::db::announcements::Announcement;
use shared::db::credential_change::{CredentialChange, change_credentials};
use shared::db::sign_in::{StoredCredentials, VerifiedPassword};
use shared::domain::{Device, Password, PasswordAttempt, PasswordPolicy, Session};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};
use shared::mail::Message;

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::put("/api/account/password");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Passwords;

/// Changes the password, ends all sessions of the user, and returns 200 with the tokens of a new one.
pub async fn handle(app: App<KeyRing>, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let (current, new) = read(&request, app.settings().password_policy)?;
    let device = app.device(&request);
    let change = |verified| change(&app, session, verified, &new, &device);
    let (started, announcement) = app.reauthenticate(session, &device, &current, change).await?;
    Event::PasswordChanged(session).record();
    app.announce(announcement).await;
    let tokens = app.first_tokens(&started).await?;
    Ok(Reply::message_and_data("Password changed. All sessions have ended, and a new one has started.", &tokens))
}

fn read(request: &Request, policy: PasswordPolicy) -> Result<(PasswordAttempt, Password), ApiError> {
    let mut body = Body::read(request)?;
    let current: Option<PasswordAttempt> = body.text("current_password", Code::InvalidRequest);
    let new = body.new_password("new_password", policy);
    if let (Some(current), Some(new)) = (&current, &new)
        && current.normalized() == new.as_bytes()
    {
        body.fault("new_password", Code::InvalidPassword, "new_password must differ from current_password");
    }
    body.finish(current.zip(new))
}

async fn change(
    app: &App<KeyRing>,
    session: Session,
    verified: VerifiedPassword,
    new: &Password,
    device: &Device,
) -> Result<Option<(SessionStart, Option<Announcement>)>, ApiError> {
    new.check_owner(&verified.credentials.username, &verified.credentials.email)
        .map_err(|error| ApiError::invalid("new_password", Code::InvalidPassword, error))?;
    let hash = app.hash_password(new.clone()).await?;
    let started = app.new_session(session.user)?;
    let StoredCredentials { email, username, .. } = &verified.credentials;
    let message = || Message::password_changed(email.clone(), username.clone(), app.now());
    let announcement = app.announcement(message);
    let change = CredentialChange::Password { password: &hash, announcement: announcement.as_ref() };
    let changed = change_credentials(app.db(), session, &verified, change, started.on(device)).await?;
    Ok(changed.then_some((started, announcement)))
}
