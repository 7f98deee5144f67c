//! Stored credentials and the counters of failed password checks: the table `sign_in_failures`.
//! [`crate::auth::throttle`] has the rule.
//!
//! A password check has three steps:
//!
//! 1. [`find_by_name`] or [`find_by_session`] reads the stored hash and the throttle.
//! 2. The caller verifies the password, which takes a quarter of a second.
//! 3. [`record_success`] or [`record_failure`] updates the counter. If the throttle has started since step 1, it
//!    rejects the attempt instead, so that concurrent guesses are no advantage.

use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::dialect::{Sql, sql};
use super::{Database, Effect, Error, Parameters, column};
use crate::auth::throttle::{self, FIRST_WAIT, FORGET_AFTER, FREE_ATTEMPTS, LONGEST_WAIT};
use crate::domain::{Network, Session, UserId, uuid_v7};

const TABLE: &str = "sign_in_failures";

/// The account of a password check, which may not exist.
pub struct PasswordCandidate {
    /// The credentials, if the account exists.
    pub credentials: Option<StoredCredentials>,
    /// The counter of its failures.
    pub counter: Counter,
    /// Time at which the throttle ends, if attempts are throttled now.
    pub throttled_until: Option<SystemTime>,
}

/// The credentials of an account.
pub struct StoredCredentials {
    /// The user.
    pub user: UserId,
    /// The username.
    pub username: String,
    /// The email address.
    pub email: String,
    /// The stored password hash.
    pub password_hash: String,
}

/// The credentials of an account whose password was verified.
pub struct VerifiedPassword {
    /// The credentials as they were read. Statements that rely on them check that this hash is still stored.
    pub credentials: StoredCredentials,
    /// A hash to store instead, if the stored one is outdated.
    pub renewed_hash: Option<String>,
}

/// The key of a counter: the account or the unknown name, and the origin of the attempt if it is counted separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    subject: String,
    origin: String,
}

/// The outcome of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The failure was counted.
    Counted {
        /// Failures in a row.
        failures: i32,
        /// Time at which the throttle ends, or the time of the attempt if there is none.
        throttled_until: SystemTime,
    },
    /// Attempts are throttled until this time, so the failure was not counted.
    Throttled(SystemTime),
}

/// Finds the account with this username or email address, ignoring case.
///
/// # Errors
/// The database is unavailable.
pub async fn find_by_name(
    db: &Database,
    name: &str,
    network: Option<&Network>,
    now: SystemTime,
) -> Result<PasswordCandidate, Error> {
    // A username has no `@` and an address has one, so a name matches one user at most. An imported username may have
    // one and then takes precedence over an address. The statement returns a row even without a match.
    const SQL: &str = "
        with account as (
            select id, username, email, password,
                exists (select from sessions s where s.user_id = u.id and s.network = $3 and s.expires_at > $4) as familiar
            from users u where username_canonical = $1 or email_canonical = $1
            order by username_canonical = $1 desc limit 1
        ), counter as (
            select coalesce((select id::text from account), $2) as subject,
                coalesce((select $3 from account where familiar), '') as origin
        )
        select c.subject, c.origin, f.throttled_until, a.id, a.username, a.email, a.password
        from counter c
        left join account a on true
        left join sign_in_failures f on f.subject = c.subject and f.origin = c.origin";
    let canonical = name.to_lowercase();
    let unknown_subject = throttle::unknown_account_subject(&canonical);
    // PostgreSQL does not accept NUL in texts. The empty name matches no account either.
    let canonical = if canonical.contains('\0') { "" } else { &canonical };
    let parameters: &Parameters<'_> = &[
        (&canonical, Type::TEXT),
        (&unknown_subject, Type::TEXT),
        (&network.map(Network::as_str), Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
    ];
    read_candidate(&db.query_one(Effect::Read, SQL, parameters).await?, now)
}

/// Finds the account of a session. Failures are counted for the session only, so that an attacker without a session
/// cannot prevent the owner from changing the password.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn find_by_session(db: &Database, session: Session, now: SystemTime) -> Result<PasswordCandidate, Error> {
    const SQL: &str = "
        with account as (
            select u.id, u.username, u.email, u.password, u.id::text as subject, sessions.id::text as origin
            from sessions join users u on u.id = sessions.user_id
            where sessions.user_id = $1 and sessions.id = $2 and sessions.expires_at > $3
        )
        select a.subject, a.origin, f.throttled_until, a.id, a.username, a.email, a.password
        from account a left join sign_in_failures f on f.subject = a.subject and f.origin = a.origin";
    let parameters: &Parameters<'_> =
        &[(&session.user.uuid(), Type::UUID), (&session.id.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ)];
    let row = db.query_opt(Effect::Read, SQL, parameters).await?.ok_or(Error::SessionEnded)?;
    read_candidate(&row, now)
}

/// Resets the counter after a correct password. If attempts are throttled by now, changes nothing and returns the time
/// at which the throttle ends.
///
/// # Errors
/// The database is unavailable.
pub async fn record_success(db: &Database, counter: &Counter, now: SystemTime) -> Result<Option<SystemTime>, Error> {
    const SQL: &str = "
        with current as (
            select throttled_until from sign_in_failures where subject = $1 and origin = $2 for update
        ), reset as (
            delete from sign_in_failures where subject = $1 and origin = $2 and throttled_until <= $3
        )
        select throttled_until from current where throttled_until > $3";
    let parameters: &Parameters<'_> =
        &[(&counter.subject, Type::TEXT), (&counter.origin, Type::TEXT), (&now, Type::TIMESTAMPTZ)];
    let row = db.query_opt(Effect::Write, SQL, parameters).await?;
    row.map(|row| column(&row, TABLE, "throttled_until")).transpose()
}

/// Counts a failed attempt and deletes up to ten outdated counters. The deletion limits the table to the failures of
/// some hours although attackers can name any number of accounts that do not exist.
///
/// # Errors
/// The database is unavailable.
pub async fn record_failure(db: &Database, counter: &Counter, now: SystemTime) -> Result<Failure, Error> {
    const SQL: Sql = sql!(
        "
        with counted as (
            insert into sign_in_failures as f (subject, origin, failures, failed_at, throttled_until, refused, id)
            values ($1, $2, 1, $3, $3, false, $8)
            on conflict (subject, origin) do update set
                refused = f.throttled_until > $3,
                failed_at = case when f.throttled_until > $3 then f.failed_at else $3 end,
                failures = case
                    when f.throttled_until > $3 then f.failures
                    when f.failed_at <= $4 then 1
                    else f.failures + 1
                end,
                throttled_until = case
                    when f.throttled_until > $3 then f.throttled_until
                    when f.failed_at <= $4 or f.failures + 1 < $5 then $3
                    else $3 + least($6 * power(2, least(f.failures + 1 - $5, 30)), $7) * interval '1 second'
                end
            returning refused, failures, throttled_until
        ), deleted_outdated as (
            delete from sign_in_failures f using (
                select subject, origin from sign_in_failures
                where failed_at <= $4 and (subject, origin) <> ($1, $2)
                order by failed_at limit 10
                for update"
        postgresql(" skip locked")
        "
            ) outdated
            where f.subject = outdated.subject and f.origin = outdated.origin
        )
        select refused, failures, throttled_until from counted"
    );
    let parameters: &Parameters<'_> = &[
        (&counter.subject, Type::TEXT),
        (&counter.origin, Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&(now - FORGET_AFTER), Type::TIMESTAMPTZ),
        (&(FREE_ATTEMPTS + 1), Type::INT4),
        (&FIRST_WAIT.as_secs_f64(), Type::FLOAT8),
        (&LONGEST_WAIT.as_secs_f64(), Type::FLOAT8),
        (&uuid_v7(now), Type::UUID),
    ];
    let row = db.query_one(Effect::Write, db.dialect().choose(SQL), parameters).await?;
    let throttled_until: SystemTime = column(&row, TABLE, "throttled_until")?;
    Ok(if column(&row, TABLE, "refused")? {
        Failure::Throttled(throttled_until)
    } else {
        Failure::Counted { failures: column(&row, TABLE, "failures")?, throttled_until }
    })
}

fn read_candidate(row: &Row, now: SystemTime) -> Result<PasswordCandidate, Error> {
    let throttled_until: Option<SystemTime> = column(row, TABLE, "throttled_until")?;
    let user: Option<Uuid> = column(row, "users", "id")?;
    let credentials = match user {
        None => None,
        Some(user) => Some(StoredCredentials {
            user: user.into(),
            username: column(row, "users", "username")?,
            email: column(row, "users", "email")?,
            password_hash: column(row, "users", "password")?,
        }),
    };
    Ok(PasswordCandidate {
        credentials,
        counter: Counter { subject: column(row, TABLE, "subject")?, origin: column(row, TABLE, "origin")? },
        throttled_until: throttled_until.filter(|until| *until > now),
    })
}
