//! Codes that clients present.

use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::TABLE;
use crate::auth::password_hash::PasswordHash;
use crate::db;
use crate::db::account_events::{NewEvent, record_event};
use crate::db::announcements::{self, Announcement, announce};
use crate::db::rate_limits::failures_subject;
use crate::db::sessions::{NewSession, start_session};
use crate::db::sign_in::stored_cost;
use crate::db::user_lock::run_locked;
use crate::db::users::Error;
use crate::db::{Database, Effect, Parameters, column};
use crate::domain::{CodePurpose, Device, EventKind, Handle, MAX_WRONG_TRIES, Network, Session, UserAgent, UserId};

/// The condition under which a code can be used. Parameters: `$1` the handle, `$2` the purpose, `$3` the time, and `$4` the number
/// of wrong tries from which it cannot.
macro_rules! usable {
    () => {
        "id = $1 and purpose = $2 and expires_at > $3 and wrong_tries < $4"
    };
}

/// A code that a client presents.
pub struct PresentedCode {
    /// The handle of the request.
    pub handle: Handle,
    /// The action.
    pub purpose: CodePurpose,
    /// The keyed digests of which the stored one has to be one.
    pub digests: Vec<Vec<u8>>,
}

/// The user whose code is right.
#[derive(Clone, Debug)]
pub struct CodeOwner {
    /// The id.
    pub user: UserId,
    /// The username.
    pub username: String,
    /// The address of the account.
    pub email: String,
}

/// Makes the CTE that counts a try. Both outcomes write the row, so that their times do not differ. `$5` has the digests.
macro_rules! tried {
    ($from:literal) => {
        concat!(
            "tried as (
                update mailed_codes c set wrong_tries = c.wrong_tries + case when c.digest = any($5) then 0 else 1 end",
            $from,
            usable!(),
            "
                returning c.user_id, c.email_canonical, c.digest = any($5) as is_right
            )"
        )
    };
}

/// Checks a code, and counts a wrong one. Returns none if the code is wrong, was used or replaced, or has expired, or if it was
/// mailed to another address than that of the account, which was changed meanwhile.
///
/// # Errors
/// The database is unavailable.
pub async fn check(db: &Database, code: &PresentedCode, now: SystemTime) -> Result<Option<CodeOwner>, db::Error> {
    const SQL: &str = concat!(
        "
        with ",
        tried!(" where "),
        "
        select u.id, u.username, u.email
        from tried t join users u on u.id = t.user_id and u.email_canonical = t.email_canonical
        where t.is_right"
    );
    let parameters: &Parameters<'_> = &[
        (&code.handle.uuid(), Type::UUID),
        (&code.purpose.name(), Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&MAX_WRONG_TRIES, Type::INT2),
        (&code.digests, Type::BYTEA_ARRAY),
    ];
    db.query_opt(Effect::Write, SQL, parameters).await?.map(|row| read_owner(&row)).transpose()
}

/// Checks a code of the session's user, and counts a wrong one, as [`check`] does. The code was mailed to an address that is not
/// the one of the account yet.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn check_of_session(
    db: &Database,
    code: &PresentedCode,
    session: Session,
    now: SystemTime,
) -> Result<Option<CodeOwner>, db::Error> {
    const SQL: &str = concat!(
        "
        with session as (
            select user_id from sessions where user_id = $6 and id = $7 and expires_at > $3
        ), ",
        tried!(" from session where c.user_id = session.user_id and c."),
        "
        select u.id, u.username, u.email, t.is_right
        from session left join tried t on t.is_right left join users u on u.id = t.user_id"
    );
    let parameters: &Parameters<'_> = &[
        (&code.handle.uuid(), Type::UUID),
        (&code.purpose.name(), Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&MAX_WRONG_TRIES, Type::INT2),
        (&code.digests, Type::BYTEA_ARRAY),
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
    ];
    let row = db.query_opt(Effect::Write, SQL, parameters).await?.ok_or(db::Error::SessionEnded)?;
    let is_right: Option<bool> = column(&row, TABLE, "is_right")?;
    is_right.map(|_| read_owner(&row)).transpose()
}

fn read_owner(row: &Row) -> Result<CodeOwner, db::Error> {
    Ok(CodeOwner {
        user: column::<Uuid>(row, "users", "id")?.into(),
        username: column(row, "users", "username")?,
        email: column(row, "users", "email")?,
    })
}

/// The change that a code allows.
pub enum CodeUse<'a> {
    /// Marks the address as verified.
    VerifyEmail,
    /// Sets a password, ends all sessions, and lifts the throttle.
    ResetPassword {
        /// The new password.
        password: &'a PasswordHash,
        /// The subjects under which failures of the user are counted.
        throttled: &'a [String],
        /// The announcement, if there is mail.
        announcement: Option<&'a Announcement>,
    },
    /// Replaces the address by the one that the code was mailed to, ends all sessions, and starts a new one.
    ChangeEmail {
        /// The session of the request.
        session: Session,
        /// The new session.
        new: NewSession<'a>,
        /// The announcement.
        announcement: Option<&'a Announcement>,
    },
}

/// Uses a code of a user for a change. Returns false, and changes nothing, if the code cannot be used any more.
///
/// # Errors
/// `EmailTaken`, the session has ended, or the database is unavailable.
pub async fn apply(
    db: &Database,
    code: &PresentedCode,
    user: UserId,
    change: CodeUse<'_>,
    device: &Device,
    now: SystemTime,
) -> Result<bool, Error> {
    let kind = match change {
        CodeUse::VerifyEmail => EventKind::EmailVerified,
        CodeUse::ResetPassword { .. } => EventKind::PasswordReset,
        CodeUse::ChangeEmail { .. } => EventKind::EmailChanged,
    };
    let event = NewEvent::new(kind, device, now);
    let event = &event.parameters();
    let (handle, purpose) = (code.handle.uuid(), code.purpose.name());
    let common: &Parameters<'_> = &[
        (&handle, Type::UUID),
        (&purpose, Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&MAX_WRONG_TRIES, Type::INT2),
        (&code.digests, Type::BYTEA_ARRAY),
    ];
    let row = match change {
        CodeUse::VerifyEmail => run_locked(db, user, VERIFY_EMAIL, &[common, event].concat()).await?,
        CodeUse::ResetPassword { password, throttled, announcement } => {
            let (id, message) = announcements::parameters(announcement);
            let own: &Parameters<'_> = &[
                (&password.text, Type::TEXT),
                (&stored_cost(password), Type::INT2),
                (&throttled, Type::TEXT_ARRAY),
                (&id, Type::UUID),
                (&message, Type::TEXT),
            ];
            run_locked(db, user, RESET_PASSWORD, &[common, event, own].concat()).await?
        }
        CodeUse::ChangeEmail { session, new, announcement } => {
            let (id, message) = announcements::parameters(announcement);
            let NewSession { refresh_token, device, started_at: _, expires_at } = new;
            let (family, digest) = (refresh_token.family_digest(), refresh_token.digest());
            let own: &Parameters<'_> = &[
                (&user.uuid(), Type::UUID),
                (&session.id.uuid(), Type::UUID),
                (&refresh_token.session().id.uuid(), Type::UUID),
                (&family.as_bytes(), Type::BYTEA),
                (&digest.as_bytes(), Type::BYTEA),
                (&expires_at, Type::TIMESTAMPTZ),
                (&device.user_agent.as_ref().map(UserAgent::as_str), Type::TEXT),
                (&device.network.as_ref().map(Network::as_str), Type::TEXT),
                (&id, Type::UUID),
                (&message, Type::TEXT),
            ];
            run_locked(db, user, CHANGE_EMAIL, &[common, event, own].concat()).await?
        }
    };
    Ok(column(&row.ok_or(db::Error::SessionEnded)?, TABLE, "changed")?)
}

const VERIFY_EMAIL: &str = concat!(
    "
    with used as (
        delete from mailed_codes where ",
    usable!(),
    " and digest = any($5)
        returning user_id, email_canonical
    ), changed as (
        update users u set email_verified_at = $3 from used
        where u.id = used.user_id and u.email_canonical = used.email_canonical
        returning u.id
    ), ",
    record_event!("event", "changed", "id", "null::uuid", "false", "$3", "$6", "$7", "$8", "$9", "$10"),
    "
    select exists (select from changed) as changed"
);

const RESET_PASSWORD: &str = concat!(
    "
    with used as (
        delete from mailed_codes where ",
    usable!(),
    " and digest = any($5)
        returning user_id, email_canonical
    ), changed as (
        update users u set
            password = $11, password_cost = $12, email_verified_at = coalesce(u.email_verified_at, $3)
        from used
        where u.id = used.user_id and u.email_canonical = used.email_canonical
        returning u.id
    ), ended as (
        delete from sessions s using changed where s.user_id = changed.id
    ), replaced as (
        delete from mailed_codes c using changed where c.user_id = changed.id and c.id <> $1
    ), unthrottled as (
        delete from sign_in_failures f using changed where f.subject = any($13)
    ), unlimited as (
        delete from rate_limits r using changed where r.subject = ",
    failures_subject!("changed.id"),
    "
    ), ",
    announce!("$14", "$15", "$3"),
    ", ",
    record_event!("event", "changed", "id", "null::uuid", "false", "$3", "$6", "$7", "$8", "$9", "$10"),
    "
    select exists (select from changed) as changed"
);

const CHANGE_EMAIL: &str = concat!(
    "
    with session as (
        select user_id from sessions where user_id = $11 and id = $12 and expires_at > $3
    ), used as (
        delete from mailed_codes c using session where ",
    usable!(),
    " and digest = any($5) and c.user_id = session.user_id
        returning c.user_id, c.email, c.email_canonical
    ), changed as (
        update users u set email = used.email, email_canonical = used.email_canonical, email_verified_at = $3 from used
        where u.id = used.user_id
        returning u.id
    ), ended as (
        delete from sessions s using changed where s.user_id = changed.id
    ), replaced as (
        delete from mailed_codes c using changed where c.user_id = changed.id and c.id <> $1
    ), ",
    announce!("$19", "$20", "$3"),
    ", ",
    start_session!("changed", "$13, $14, $15, $3, $3, $16, $17, $18"),
    ", ",
    record_event!("event", "started", "user_id", "$13", "false", "$3", "$6", "$7", "$8", "$9", "$10"),
    "
    select exists (select from changed) as changed from session"
);
