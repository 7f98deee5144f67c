//! `POST /api/email-verification`: mail a code that verifies the caller's email address.

use shared::App;
use shared::auth::digest_keys::DigestKeys;
use shared::db::Role;
use shared::db::mailed_codes::Recipient;
use shared::domain::CodePurpose;
use shared::error::ApiError;
use shared::http::{Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/email-verification");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::VerificationRequest;

/// Mails a code to the address of the account and returns 202 with the handle of the request.
pub async fn handle(app: App<DigestKeys>, request: Request) -> Result<Reply, ApiError> {
    let session = app.session(&request).await?;
    let (recipient, network) = (Recipient::Session(session), app.network(&request));
    let requested = app.mail_code(CodePurpose::EmailVerification, recipient, network.as_ref()).await?;
    Ok(Reply::message_and_data("A code is on its way to your email address.", &requested).accepted())
}
