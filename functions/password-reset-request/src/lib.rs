//! `POST /api/password-reset`: mail a code that allows a new password.

use shared::App;
use shared::auth::digest_keys::DigestKeys;
use shared::db::Role;
use shared::db::mailed_codes::Recipient;
use shared::domain::{CodePurpose, canonical_name};
use shared::error::{ApiError, Code};
use shared::http::{Body, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/password-reset");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::ResetRequest;

/// Mails a code to the address of the account, if there is one, and returns 202 with the handle of the request. The response and
/// its time are the same without an account.
pub async fn handle(app: App<DigestKeys>, request: Request) -> Result<Reply, ApiError> {
    let name = canonical_name(&read(&request)?);
    let (recipient, network) = (Recipient::Name(&name), app.network(&request));
    let requested = app.mail_code(CodePurpose::PasswordReset, recipient, network.as_ref()).await?;
    Ok(Reply::message_and_data("If the account exists, a code is on its way to its email address.", &requested)
        .accepted())
}

/// Reads `email` or `username`. Either may hold the other, as at sign-in.
fn read(request: &Request) -> Result<String, ApiError> {
    let mut body = Body::read(request)?;
    let field = match (body.has("email"), body.has("username")) {
        (true, true) => {
            body.fault("username", Code::InvalidRequest, "send either email or username");
            "email"
        }
        (false, true) => "username",
        _ => "email",
    };
    let name = body.text(field, Code::InvalidRequest);
    body.finish(name)
}
