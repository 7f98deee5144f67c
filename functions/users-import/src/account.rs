//! Reads an account from a line.

use std::time::SystemTime;

use shared::auth::password_hash::PasswordHash;
use shared::db::imports::ImportedAccount;
use shared::domain::rfc3339::Timestamp;
use shared::domain::{Email, UserId, Username};
use shared::error::{ApiError, Code};
use shared::http::Body;

/// The members of a line.
const MEMBERS: [&str; 10] = [
    "user_id",
    "username",
    "email",
    "email_verified",
    "password_hash",
    "full_name",
    "age",
    "gender",
    "created_at",
    "disabled",
];

/// An account, and what its line does not determine.
pub(crate) struct Candidate {
    pub(crate) account: ImportedAccount,
    /// Whether the line has the id.
    pub(crate) has_id: bool,
    /// Whether the line has the username.
    pub(crate) has_username: bool,
}

/// Reads a line. A line without a username gets one of the id.
///
/// # Errors
/// `Invalid` with all faults.
pub(crate) fn read(line: &str, now: SystemTime) -> Result<Candidate, ApiError> {
    let mut body = Body::of_text(line, "line")?;
    body.only(&MEMBERS);
    let id: Option<UserId> = body.optional_text("user_id", Code::InvalidRequest);
    let username: Option<Username> = body.optional_text("username", Code::InvalidRequest);
    let email: Option<Email> = body.text("email", Code::InvalidRequest);
    let password: Option<PasswordHash> = body.optional_text("password_hash", Code::InvalidPassword);
    let full_name = body.optional_text("full_name", Code::InvalidRequest);
    let age = body.optional_number("age", Code::InvalidAge);
    let gender = body.optional_text("gender", Code::InvalidRequest);
    let created_at: Option<Timestamp> = body.optional_text("created_at", Code::InvalidRequest);
    let (email_verified, disabled) = (body.flag("email_verified"), body.flag("disabled"));
    let created_at = created_at.map_or(now, Timestamp::time);
    if created_at > now {
        body.fault("created_at", Code::InvalidRequest, "created_at must not be in the future");
    }
    let (has_id, has_username) = (id.is_some(), username.is_some());
    let id = id.unwrap_or_else(|| UserId::new(created_at));
    let username = username.or_else(|| format!("user-{}", id.uuid().simple()).parse().ok());
    let account = username.zip(email).map(|(username, email)| ImportedAccount {
        id,
        username,
        email,
        email_verified,
        password,
        full_name,
        age,
        gender,
        created_at,
        disabled,
    });
    Ok(Candidate { account: body.finish(account)?, has_id, has_username })
}
