//! `POST /api/email-verification/confirm`: verify an email address with a mailed code.

use shared::App;
use shared::audit::Event;
use shared::auth::digest_keys::DigestKeys;
use shared::db::Role;
use shared::db::mailed_codes::CodeUse;
use shared::domain::CodePurpose;
use shared::error::ApiError;
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/email-verification/confirm");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::VerificationConfirm;

/// Marks the address as verified and returns 200. It needs no access token, so that a user who has to verify the address before
/// the first sign-in can do so.
pub async fn handle(app: App<DigestKeys>, request: Request) -> Result<Reply, ApiError> {
    let mut body = Body::read(&request)?;
    let code = body.mailed_code();
    let checked = app.check_code(CodePurpose::EmailVerification, body.finish(code)?, None).await?;
    app.use_code(&checked, CodeUse::VerifyEmail, &app.device(&request)).await?;
    Event::EmailVerified(checked.owner.user).record();
    Ok(Reply::message("Email address verified"))
}
