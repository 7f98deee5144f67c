//! Changes of a password or an email address, which end all sessions of the user.

use tokio_postgres::types::Type;

use super::account_events::{NewEvent, record_event};
use super::announcements::{self, Announcement, announce};
use super::sessions::{NewSession, start_session};
use super::sign_in::{VerifiedPassword, stored_cost};
use super::user_lock::run_locked;
use super::users::Error;
use super::{Database, Parameters, column};
use crate::auth::password_hash::PasswordHash;
use crate::db;
use crate::domain::{Email, EventKind, Network, Session, UserAgent};

/// A change that takes the password.
#[derive(Clone, Copy)]
pub enum CredentialChange<'a> {
    /// Replaces the password.
    Password {
        /// The new password.
        password: &'a PasswordHash,
        /// The announcement, if there is mail.
        announcement: Option<&'a Announcement>,
    },
    /// Replaces the email address. For a service without mail, so it is not announced.
    Email(&'a Email),
}

/// Makes the statement that changes the user. Arguments: the columns to set, and further CTEs.
macro_rules! change {
    ($set:literal, $further:expr) => {
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
            $further,
            start_session!("changed", "$5, $6, $7, $3, $3, $8, $9, $10"),
            ", ",
            record_event!("event", "started", "user_id", "$5", "false", "$3", "$11", "$12", "$13", "$14", "$15"),
            "
            select changed.id is not null as changed from session left join changed on changed.id = session.user_id"
        )
    };
}

/// Changes the account of a verified password, ends all sessions of the user and all mailed codes, and starts a new session.
/// Returns false, and changes nothing, if the verified password was replaced meanwhile.
///
/// # Errors
/// `EmailTaken`, the session has ended, or the database is unavailable.
pub async fn change_credentials(
    db: &Database,
    session: Session,
    verified: &VerifiedPassword,
    change: CredentialChange<'_>,
    new: NewSession<'_>,
) -> Result<bool, Error> {
    const PASSWORD: &str = change!("password = $16, password_cost = $17", concat!(announce!("$18", "$19", "$3"), ", "));
    const EMAIL: &str = change!("email = $16, email_canonical = $17, email_verified_at = null", "");
    let NewSession { refresh_token, device, started_at, expires_at } = new;
    let (family, digest) = (refresh_token.family_digest(), refresh_token.digest());
    let common: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&started_at, Type::TIMESTAMPTZ),
        (&verified.credentials.password_hash, Type::TEXT),
        (&refresh_token.session().id.uuid(), Type::UUID),
        (&family.as_bytes(), Type::BYTEA),
        (&digest.as_bytes(), Type::BYTEA),
        (&expires_at, Type::TIMESTAMPTZ),
        (&device.user_agent.as_ref().map(UserAgent::as_str), Type::TEXT),
        (&device.network.as_ref().map(Network::as_str), Type::TEXT),
    ];
    let kind = match change {
        CredentialChange::Password { .. } => EventKind::PasswordChanged,
        CredentialChange::Email(_) => EventKind::EmailChanged,
    };
    let event = NewEvent::new(kind, device, started_at);
    let event = &event.parameters();
    let row = match change {
        CredentialChange::Password { password, announcement } => {
            let (id, message) = announcements::parameters(announcement);
            let own: &Parameters<'_> = &[
                (&password.text, Type::TEXT),
                (&stored_cost(password), Type::INT2),
                (&id, Type::UUID),
                (&message, Type::TEXT),
            ];
            run_locked(db, session.user, PASSWORD, &[common, event, own].concat()).await?
        }
        CredentialChange::Email(email) => {
            let own: &Parameters<'_> = &[(&email.as_str(), Type::TEXT), (&email.canonical(), Type::TEXT)];
            run_locked(db, session.user, EMAIL, &[common, event, own].concat()).await?
        }
    };
    Ok(column(&row.ok_or(db::Error::SessionEnded)?, "users", "changed")?)
}
