//! Accounts: the table `users`.

use std::time::{Duration, SystemTime};

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::account_events::{NewEvent, record_event};
use super::data::delete_values_of;
use super::rate_limits::{self, count_token, take_token};
use super::sign_in::{VerifiedPassword, stored_cost};
use super::{Database, Effect, Parameters, column};
use crate::auth::password_hash::PasswordHash;
use crate::auth::rate_limit::RateLimit;
use crate::db;
use crate::domain::{Account, Device, EventKind, Network, Profile, ProfileChange, Session, UserId};
use crate::report;

const TABLE: &str = "users";

/// Time that a request spends on deleting the values of an account.
const VALUES_LIMIT: Duration = Duration::from_secs(3);

/// Why an account was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another account has this username, ignoring case.
    #[error("the username is taken")]
    UsernameTaken,
    /// Another account has this email address, ignoring case.
    #[error("the email address is taken")]
    EmailTaken,
    /// Any other error of the statement.
    #[error(transparent)]
    Database(db::Error),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        match error.constraint() {
            Some("users_username_key") => Self::UsernameTaken,
            Some("users_email_key") => Self::EmailTaken,
            _ => Self::Database(error),
        }
    }
}

/// A user to insert.
#[derive(Clone, Copy)]
pub struct NewUser<'a> {
    /// The id.
    pub id: UserId,
    /// The profile.
    pub profile: &'a Profile,
    /// The password.
    pub password: &'a PasswordHash,
    /// The device of the registration.
    pub device: &'a Device,
    /// Time of the registration.
    pub created_at: SystemTime,
}

/// The outcome of a registration.
pub enum Registration {
    /// The account was created.
    Created(Account),
    /// The network has registered too many accounts. The next one is possible at this time.
    Throttled(SystemTime),
}

/// Inserts a user and the counters of the user's values, and counts the registration of the network. Of concurrent
/// registrations with the same name, the unique constraints accept one.
///
/// # Errors
/// `UsernameTaken`, `EmailTaken`, or the database is unavailable.
pub async fn insert(
    db: &Database,
    user: NewUser<'_>,
    registrations: Option<(&Network, RateLimit)>,
) -> Result<Registration, Error> {
    const SQL: &str = concat!(
        "
        with counted as (
            insert into rate_limits as r (subject, full_at)
            select $12, $10 + $13 * interval '1 second' where $12 is not null
            ",
        take_token!("$10", "$13", "$14"),
        "
            returning subject
        ), allowed as (
            select $1::uuid as id where $12 is null or exists (select from counted)
        ), created as (
            insert into users
                (id, username, username_canonical, email, email_canonical, password, password_cost, full_name, age, gender,
                created_at)
            select $1, $2, $3, $4, $5, $6, $11, $7, $8, $9, $10 from allowed
        ), counters as (
            insert into user_counters (user_id, version, keys, bytes, keys_allowed, bytes_allowed)
            select $1, 0, 0, 0, 0, 0 from allowed
        ), ",
        record_event!("event", "allowed", "id", "null::uuid", "false", "$10", "$15", "$16", "$17", "$18", "$19"),
        "
        select exists (select from allowed) as created, (select full_at from rate_limits where subject = $12) as full_at"
    );
    let NewUser { id, profile, password, device, created_at } = user;
    let (subject, limit) =
        registrations.map(|(network, limit)| (rate_limits::registrations_of_network(network), limit)).unzip();
    let limit = limit.unwrap_or(RateLimit::NONE);
    let event = NewEvent::new(EventKind::AccountCreated, device, created_at);
    let creating: &Parameters<'_> = &[
        (&id.uuid(), Type::UUID),
        (&profile.username.as_str(), Type::TEXT),
        (&profile.username.canonical(), Type::TEXT),
        (&profile.email.as_str(), Type::TEXT),
        (&profile.email.canonical(), Type::TEXT),
        (&password.text, Type::TEXT),
        (&profile.full_name.as_str(), Type::TEXT),
        (&profile.age.years(), Type::INT2),
        (&profile.gender.as_str(), Type::TEXT),
        (&created_at, Type::TIMESTAMPTZ),
        (&stored_cost(password), Type::INT2),
        (&subject, Type::TEXT),
        (&limit.interval.as_secs_f64(), Type::FLOAT8),
        (&limit.slack().as_secs_f64(), Type::FLOAT8),
    ];
    let row = db.query_one(Effect::Write, SQL, &[creating, &event.parameters()].concat()).await?;
    if !column::<bool>(&row, TABLE, "created")? {
        let full_at = column::<Option<SystemTime>>(&row, "rate_limits", "full_at")?;
        return Ok(Registration::Throttled(limit.token_at(full_at.unwrap_or(created_at))));
    }
    // The row is not read back because the role of `register` cannot read accounts.
    Ok(Registration::Created(Account {
        user_id: id,
        username: profile.username.as_str().to_owned(),
        email: profile.email.as_str().to_owned(),
        email_verified: false,
        full_name: Some(profile.full_name.as_str().to_owned()),
        age: Some(profile.age.years()),
        gender: Some(profile.gender.as_str().to_owned()),
        created_at,
    }))
}

/// Counts a registration that failed because a name is taken. It was hashed like one that succeeds, and its statement was
/// rolled back.
///
/// # Errors
/// The database is unavailable.
pub async fn count_failed_registration(
    db: &Database,
    network: &Network,
    limit: RateLimit,
    now: SystemTime,
) -> Result<(), db::Error> {
    const SQL: &str = concat!(
        "insert into rate_limits as r (subject, full_at) values ($1, $2 + $3 * interval '1 second') ",
        count_token!("$2", "$3", "$4")
    );
    let parameters: &Parameters<'_> = &[
        (&rate_limits::registrations_of_network(network), Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&limit.interval.as_secs_f64(), Type::FLOAT8),
        (&limit.refill().as_secs_f64(), Type::FLOAT8),
    ];
    db.query(Effect::Write, SQL, parameters).await?;
    Ok(())
}

/// The columns that [`read_account`] reads, of `users u`.
macro_rules! account {
    () => {
        "u.id, u.username, u.email, u.email_verified_at is not null as email_verified, u.full_name, u.age, u.gender,
            u.created_at"
    };
}
pub(super) use account;

/// Returns the account of a session.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn find(db: &Database, session: Session, now: SystemTime) -> Result<Account, db::Error> {
    const SQL: &str = concat!(
        "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        )
        select ",
        account!(),
        "
        from session join users u on u.id = session.user_id"
    );
    let parameters: &Parameters<'_> =
        &[(&session.user.uuid(), Type::UUID), (&session.id.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ)];
    let row = db.query_opt(Effect::Read, SQL, parameters).await?.ok_or(db::Error::SessionEnded)?;
    read_account(&row)
}

/// Changes the fields that `change` names and returns the account.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn update(
    db: &Database,
    session: Session,
    change: &ProfileChange,
    device: &Device,
    now: SystemTime,
) -> Result<Account, db::Error> {
    const SQL: &str = concat!(
        "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), changed as (
            update users as u set
                full_name = coalesce($4, u.full_name),
                age = coalesce($5, u.age),
                gender = coalesce($6, u.gender)
            from session where u.id = session.user_id
            returning ",
        account!(),
        "
        ), ",
        record_event!("event", "changed", "id", "$2", "false", "$3", "$7", "$8", "$9", "$10", "$11"),
        "
        select * from changed"
    );
    let event = NewEvent::new(EventKind::AccountUpdated, device, now);
    let changing: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&change.full_name.as_ref().map(|name| name.as_str()), Type::TEXT),
        (&change.age.map(|age| age.years()), Type::INT2),
        (&change.gender.as_ref().map(|gender| gender.as_str()), Type::TEXT),
    ];
    let row = db
        .query_opt(Effect::Write, SQL, &[changing, &event.parameters()].concat())
        .await?
        .ok_or(db::Error::SessionEnded)?;
    read_account(&row)
}

/// Makes the CTEs that delete all rows but the values of the user of the CTE `deleted`. Arguments: parameters with the time, and
/// with the subjects of the user's limits.
///
/// On PostgreSQL, the cascades of foreign keys also delete rows of which the statement does not know, because concurrent ones have
/// inserted them. On DSQL, the statement fails and is repeated if it meets a concurrent one. A transaction there changes 3000 rows at
/// most, so events beyond the first thousand remain until they are 90 days old.
macro_rules! delete_user {
    ($now:literal, $subjects:literal) => {
        concat!(
            "ended as (
                delete from sessions s using deleted where s.user_id = deleted.id
            ), forgotten as (
                delete from known_networks k using deleted where k.user_id = deleted.id
            ), uncounted as (
                delete from user_counters c using deleted where c.user_id = deleted.id
            ), unlimited as (
                delete from rate_limits r using deleted where r.subject = any(",
            $subjects,
            ")
            ), events as (
                delete from account_events e using (
                    select l.id from account_events l join deleted on l.user_id = deleted.id limit 1000
                ) last
                where e.id = last.id
            ), withdrawn as (
                delete from mailed_codes c using deleted where c.user_id = deleted.id
            ), recorded as (
                insert into deleted_users (user_id, deleted_at) select id, ",
            $now,
            " from deleted
            )"
        )
    };
}
pub(super) use delete_user;

/// Deletes the user of the verified password and all the user's rows. Returns false, and changes nothing, if the
/// verified password was replaced.
///
/// The first statement deletes all but the values, which are unreachable from then on, and further ones delete them in steps.
/// Values that remain after 3 s are left to `data-sweep`.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn delete(
    db: &Database,
    session: Session,
    verified: &VerifiedPassword,
    now: SystemTime,
) -> Result<bool, db::Error> {
    const SQL: &str = concat!(
        "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        ), deleted as (
            delete from users u using session where u.id = session.user_id and u.password = $4
            returning u.id
        ), ",
        delete_user!("$3", "$5"),
        "
        select deleted.id is not null as deleted from session left join deleted on deleted.id = session.user_id"
    );
    let parameters: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&verified.credentials.password_hash, Type::TEXT),
        (&subjects_of(session.user), Type::TEXT_ARRAY),
    ];
    let row = db.query_opt(Effect::Write, SQL, parameters).await?.ok_or(db::Error::SessionEnded)?;
    let deleted = column(&row, TABLE, "deleted")?;
    if deleted {
        delete_rest_of(db, session.user).await;
    }
    Ok(deleted)
}

/// Returns the subjects of a user's limits.
pub(super) fn subjects_of(user: UserId) -> Vec<String> {
    let [known, others] = rate_limits::mails_to_account(user);
    vec![rate_limits::failures_of_account(user), rate_limits::changes_of_account(user), known, others]
}

/// Deletes the values of a user whose account is deleted, for 3 s.
pub(super) async fn delete_rest_of(db: &Database, user: UserId) {
    if let Err(error) = delete_values_of(db, user, VALUES_LIMIT).await {
        // Not an error of the request: the account is deleted, and a retry would not find it.
        tracing::warn!("values of a deleted account remain until data-sweep removes them: {}", report::chain(&error));
    }
}

pub(super) fn read_account(row: &Row) -> Result<Account, db::Error> {
    Ok(Account {
        user_id: column::<Uuid>(row, TABLE, "id")?.into(),
        username: column(row, TABLE, "username")?,
        email: column(row, TABLE, "email")?,
        email_verified: column(row, TABLE, "email_verified")?,
        full_name: column(row, TABLE, "full_name")?,
        age: column(row, TABLE, "age")?,
        gender: column(row, TABLE, "gender")?,
        created_at: column(row, TABLE, "created_at")?,
    })
}
