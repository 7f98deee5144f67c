//! Changes of a password or an email address, which end all sessions of the user.

use tokio_postgres::types::{ToSql, Type};

use super::announcements::{Announcement, announce};
use super::sessions::NewSession;
use super::sign_in::{VerifiedPassword, stored_cost};
use super::user_lock::run_locked;
use super::users::Error;
use super::{Database, Parameters, column};
use crate::auth::password_hash::PasswordHash;
use crate::db;
use crate::domain::{Email, Network, Session, UserAgent};

/// A change that takes the password.
#[derive(Clone, Copy)]
pub enum CredentialChange<'a> {
    /// Replaces the password.
    Password(&'a PasswordHash),
    /// Replaces the email address.
    Email(&'a Email),
}

/// Makes the statement that sets columns of the user to `$5` and `$12`.
macro_rules! change {
    ($set:literal) => {
        concat!(
            "
            with session as (
                select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
            ), changed as (
                update users as u set ",
            $set,
            "
                from session where u.id = session.user_id and u.password = $4
                returning u.id
            ), ended as (
                delete from sessions s using changed where s.user_id = changed.id
            ), replaced as (
                delete from mailed_codes c using changed where c.user_id = changed.id
            ), ",
            announce!("$13", "$14", "$3"),
            ", started as (
                insert into sessions
                    (user_id, id, family_digest, current_digest, created_at, refreshed_at, expires_at, user_agent, network)
                select id, $6, $7, $8, $3, $3, $9, $10, $11 from changed
            )
            select changed.id is not null as changed from session left join changed on changed.id = session.user_id"
        )
    };
}

/// Changes the account of a verified password, ends all sessions of the user and all mailed codes, and starts a new session.
/// Returns false, and changes nothing, if the verified password is no longer the stored one.
///
/// # Errors
/// `EmailTaken`, the session has ended, or the database is unavailable.
pub async fn change_credentials(
    db: &Database,
    session: Session,
    verified: &VerifiedPassword,
    change: CredentialChange<'_>,
    new: NewSession<'_>,
    announcement: Option<&Announcement>,
) -> Result<bool, Error> {
    const PASSWORD: &str = change!("password = $5, password_cost = $12");
    const EMAIL: &str = change!("email = $5, email_canonical = $12, email_verified_at = null");
    let NewSession { refresh_token, device, started_at, expires_at } = new;
    let (family, digest) = (refresh_token.family_digest(), refresh_token.digest());
    let (sql, first, second): (_, _, (&(dyn ToSql + Sync), _)) = match change {
        CredentialChange::Password(hash) => (PASSWORD, hash.text.as_str(), (&stored_cost(hash), Type::INT2)),
        CredentialChange::Email(email) => (EMAIL, email.as_str(), (&email.canonical(), Type::TEXT)),
    };
    let (announcement, message) = announcement.map(|new| (new.id, new.message.as_str())).unzip();
    let parameters: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&started_at, Type::TIMESTAMPTZ),
        (&verified.credentials.password_hash, Type::TEXT),
        (&first, Type::TEXT),
        (&refresh_token.session().id.uuid(), Type::UUID),
        (&family.as_bytes(), Type::BYTEA),
        (&digest.as_bytes(), Type::BYTEA),
        (&expires_at, Type::TIMESTAMPTZ),
        (&device.user_agent.as_ref().map(UserAgent::as_str), Type::TEXT),
        (&device.network.as_ref().map(Network::as_str), Type::TEXT),
        second,
        (&announcement, Type::UUID),
        (&message, Type::TEXT),
    ];
    let row = run_locked(db, session.user, sql, parameters).await?.ok_or(db::Error::SessionEnded)?;
    Ok(column(&row, "users", "changed")?)
}
