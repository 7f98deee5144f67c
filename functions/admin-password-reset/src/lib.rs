//! `POST /api/admin/users/{id}/password-reset`: mail a code that allows a new password, for operators.

use shared::App;
use shared::auth::digest_keys::DigestKeys;
use shared::db::Role;
use shared::db::mailed_codes::Recipient;
use shared::domain::CodePurpose;
use shared::error::ApiError;
use shared::http::{self, Reply, Request, Route};

/// The method and path, as in `template.yaml`.
pub const ROUTE: Route = Route::post("/api/admin/users/{id}/password-reset");
/// The database role, as in `DATABASE_USER` of `template.yaml`.
pub const ROLE: Role = Role::AdminReset;

/// Mails a code to the address of the account and returns 202 with the handle, which the user needs beside the code.
pub async fn handle(app: App<DigestKeys>, request: Request) -> Result<Reply, ApiError> {
    let operator = app.operator(&request)?;
    let user = http::user_id(&request)?;
    let requested = app.mail_code(CodePurpose::PasswordReset, Recipient::User(user), None).await?;
    let requested = requested.ok_or(ApiError::UserNotFound)?;
    operator.record("password.reset", Some(user));
    Ok(Reply::message_and_data("A code is on its way to the email address of the account.", &requested).accepted())
}
