//! `POST /api/email-verification/confirm`: verify an email address with a mailed code.

use shared::App;
use shared::app::invalid_code;
use shared::audit::Event;
use shared::auth::digest_keys::DigestKeys;
use shared::db::Role;
use shared::db::mailed_codes::{self, CodeUse};
use shared::domain::{CodePurpose, Handle, MailedCode};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/email-verification/confirm");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::VerificationConfirm;

/// Marks the address as verified and returns 200. It needs no access token, so that a user who has to verify the address before
/// the first sign-in can do so.
pub async fn handle(app: App<DigestKeys>, request: Request) -> Result<Reply, ApiError> {
    const PURPOSE: CodePurpose = CodePurpose::EmailVerification;
    let (handle, code) = read(&request)?;
    let checked = app.check_code(PURPOSE, handle, &code, None).await?;
    let user = checked.owner.user;
    if !mailed_codes::apply(app.db(), &checked.code, user, CodeUse::VerifyEmail, app.now()).await? {
        return Err(invalid_code(PURPOSE));
    }
    Event::EmailVerified(user).record();
    Ok(Reply::message("Email address verified"))
}

fn read(request: &Request) -> Result<(Handle, MailedCode), ApiError> {
    let mut body = Body::read(request)?;
    let handle = body.text("handle", Code::InvalidRequest);
    let code = body.text("code", Code::InvalidRequest);
    body.finish(handle.zip(code))
}
