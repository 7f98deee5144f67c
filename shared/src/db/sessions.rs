//! The tables `sessions` and `refresh_tokens`.

use std::time::SystemTime;

use tokio_postgres::types::Type;

use super::users::Credentials;
use super::{Database, Effect, Error};
use crate::auth::access_token::Session;
use crate::auth::refresh_token::RefreshTokenDigest;

/// Begins a session for a user whose password was found right, and replaces the hash by `renewed` if there is one.
///
/// Nothing happens, and the answer is false, if the user is gone or has another password since.
///
/// # Errors
/// The database is out of reach.
pub async fn begin(
    db: &Database,
    session: Session,
    refresh_token: &RefreshTokenDigest,
    checked: &Credentials,
    renewed: Option<&str>,
    now: SystemTime,
    expires_at: SystemTime,
) -> Result<bool, Error> {
    const SQL: &str = "
        with checked as (
            update users set password = coalesce($7, password)
            where id = $1 and password = $6
            returning id
        ), begun as (
            insert into sessions (user_id, id, created_at, refreshed_at, expires_at)
            select id, $2, $4, $4, $5 from checked
            returning user_id, id
        )
        insert into refresh_tokens (digest, user_id, session_id, issued_at)
        select $3, user_id, id, $4 from begun
        returning true as begun";
    let row = db
        .query_opt(
            Effect::Write,
            SQL,
            &[
                (&session.user.uuid(), Type::UUID),
                (&session.id.uuid(), Type::UUID),
                (&refresh_token.as_str(), Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
                (&expires_at, Type::TIMESTAMPTZ),
                (&checked.password_hash, Type::TEXT),
                (&renewed, Type::TEXT),
            ],
        )
        .await?;
    Ok(row.is_some())
}
