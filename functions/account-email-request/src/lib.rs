//! `POST /api/account/email`: change the caller's email address, or mail a code that does.

use shared::App;
use shared::app::{CodeRequested, SessionStart};
use shared::audit::Event;
use shared::auth::key_ring::KeyRing;
use shared::db::Role;
use shared::db::credential_change::{CredentialChange, change_credentials};
use shared::db::mailed_codes::Recipient;
use shared::db::sign_in::VerifiedPassword;
use shared::domain::{CodePurpose, Device, Email, PasswordAttempt, Session};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/account/email");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::Emails;

/// The effect of a request.
enum Changed {
    /// A code was mailed to the new address.
    Requested(CodeRequested),
    /// The service sends no mail, so the address was changed, and this session has replaced all others.
    AtOnce(SessionStart),
}

/// Mails a code to the new address and returns 202 with the handle of the request. Without mail, changes the address, ends all
/// sessions of the user, and returns 200 with the tokens of a new one. The user signs in with the address, so that a stolen access
/// token must not be enough.
pub async fn handle(app: App<KeyRing>, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let (email, password) = read(&request)?;
    let device = app.device(&request);
    let change = |verified| change(&app, session, verified, &email, &device);
    match app.reauthenticate(session, &device, &password, change).await? {
        Changed::Requested(requested) => {
            Ok(Reply::message_and_data("A code is on its way to the new email address.", &requested).accepted())
        }
        Changed::AtOnce(started) => {
            Event::EmailChanged(session).record();
            let tokens = app.first_tokens(&started).await?;
            let message = "Email address changed. All sessions have ended, and a new one has started.";
            Ok(Reply::message_and_data(message, &tokens))
        }
    }
}

fn read(request: &Request) -> Result<(Email, PasswordAttempt), ApiError> {
    let mut body = Body::read(request)?;
    let email = body.text("email", Code::InvalidRequest);
    let password = body.text("password", Code::InvalidRequest);
    body.finish(email.zip(password))
}

async fn change(
    app: &App<KeyRing>,
    session: Session,
    verified: VerifiedPassword,
    email: &Email,
    device: &Device,
) -> Result<Option<Changed>, ApiError> {
    if verified.credentials.email == email.as_str() {
        return Err(ApiError::invalid("email", Code::InvalidRequest, "email is the current address. Send another one"));
    }
    if app.outbox().is_ok() {
        let recipient = Recipient::NewAddress(session, &verified, email);
        let requested = app.mail_code(CodePurpose::EmailChange, recipient, device.network.as_ref()).await?;
        return Ok(requested.map(Changed::Requested));
    }
    let started = app.new_session(session.user)?;
    let change = CredentialChange::Email(email);
    let changed = change_credentials(app.db(), session, &verified, change, started.on(device)).await?;
    Ok(changed.then_some(Changed::AtOnce(started)))
}
