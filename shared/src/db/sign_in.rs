//! What a password is compared with, and the table `sign_in_failures`. See [`crate::auth::guessing`] for the rule.
//!
//! A check is three steps: [`find_by_name`] or [`find_by_session`] reads the stored hash and whether checks are refused at
//! the moment; then the comparison, which takes a quarter of a second; then [`pass`] or [`fail`], which decide. Of
//! any number of guesses at once, those that come to their last step after the account has been closed learn nothing, so
//! that there is no gain in sending them together.

use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::server::{Sql, sql};
use super::sessions::Refusal;
use super::{Database, Effect, Error, column};
use crate::auth::access_token::Session;
use crate::auth::guessing::{self, FIRST_SLOWED, FIRST_WAIT, FORGOTTEN_AFTER, LONGEST_WAIT};
use crate::domain::{Network, UserId, uuid_v7};

const TABLE: &str = "sign_in_failures";

/// What an attempt is up against.
pub struct Challenge {
    /// The account's credentials, if there is such an account.
    pub credentials: Option<Credentials>,
    /// Where failures are counted.
    pub counter: Counter,
    /// Until when attempts are refused, if they are at the moment.
    pub closed_until: Option<SystemTime>,
}

/// The credentials of an account.
pub struct Credentials {
    /// Whose they are.
    pub user: UserId,
    /// The username.
    pub username: String,
    /// The e-mail address.
    pub email: String,
    /// The stored hash.
    pub password_hash: String,
}

/// Credentials whose password was shown and found right.
pub struct Checked {
    /// Whose they are.
    pub user: UserId,
    /// The stored hash. What is done on the strength of it is done only while it is stored.
    pub password_hash: String,
    /// A hash to store in its place, where that one is not as a new one would be.
    pub renewed: Option<String>,
}

/// Under what failures are counted: the account or the name of none, and where they come from, if that has a count of its
/// own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    subject: String,
    origin: String,
}

/// What became of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was counted.
    Counted {
        /// How many there are in a row.
        failures: i32,
        /// Until when attempts are refused from now on, or now.
        closed_until: SystemTime,
    },
    /// The account was closed until then, and the attempt counts for nothing.
    Refused(SystemTime),
}

/// The credentials of the user with this username or e-mail address, whatever its case.
///
/// # Errors
/// The database is out of reach.
pub async fn find_by_name(
    db: &Database,
    name: &str,
    network: Option<&Network>,
    now: SystemTime,
) -> Result<Challenge, Error> {
    // No username has an `@` and every address has one, so that a name finds one user at most; but for imported ones, of
    // whom the username counts. A row comes back whether or not there is such a user.
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
        select c.subject, c.origin, f.blocked_until, a.id, a.username, a.email, a.password
        from counter c
        left join account a on true
        left join sign_in_failures f on f.subject = c.subject and f.origin = c.origin";
    let canonical = name.to_lowercase();
    let nobody = guessing::subject_of_nobody(&canonical);
    // PostgreSQL has no NUL in its texts, and no user has one in their name; nor has anyone an empty name.
    let canonical = if canonical.contains('\0') { "" } else { &canonical };
    let parameters: &super::Parameters<'_> = &[
        (&canonical, Type::TEXT),
        (&nobody, Type::TEXT),
        (&network.map(Network::as_str), Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
    ];
    challenge(&db.query_one(Effect::Read, SQL, parameters).await?, now)
}

/// The credentials of the user whose session it is. Failures are counted for that session alone: who has one is nobody who
/// guesses at the account from outside, and must not be kept from changing the password by those who do.
///
/// # Errors
/// `SessionEnded`, or the database is out of reach.
pub async fn find_by_session(db: &Database, session: Session, now: SystemTime) -> Result<Challenge, Refusal> {
    const SQL: &str = "
        with account as (
            select u.id, u.username, u.email, u.password, u.id::text as subject, sessions.id::text as origin
            from sessions join users u on u.id = sessions.user_id
            where sessions.user_id = $1 and sessions.id = $2 and sessions.expires_at > $3
        )
        select a.subject, a.origin, f.blocked_until, a.id, a.username, a.email, a.password
        from account a left join sign_in_failures f on f.subject = a.subject and f.origin = a.origin";
    let parameters: &super::Parameters<'_> =
        &[(&session.user.uuid(), Type::UUID), (&session.id.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ)];
    let row = db.query_opt(Effect::Read, SQL, parameters).await?.ok_or(Refusal::SessionEnded)?;
    Ok(challenge(&row, now)?)
}

/// Lets an attempt with the right password through and forgets the failures before it; unless attempts are refused by now:
/// then until when.
///
/// # Errors
/// The database is out of reach.
pub async fn pass(db: &Database, counter: &Counter, now: SystemTime) -> Result<Option<SystemTime>, Error> {
    const SQL: &str = "
        with current as (
            select blocked_until from sign_in_failures where subject = $1 and origin = $2 for update
        ), forgotten as (
            delete from sign_in_failures where subject = $1 and origin = $2 and blocked_until <= $3
        )
        select blocked_until from current where blocked_until > $3";
    let parameters: &super::Parameters<'_> =
        &[(&counter.subject, Type::TEXT), (&counter.origin, Type::TEXT), (&now, Type::TIMESTAMPTZ)];
    let row = db.query_opt(Effect::Write, SQL, parameters).await?;
    row.map(|row| column(&row, TABLE, "blocked_until")).transpose()
}

/// Counts a failed attempt, and removes up to ten counts that no longer matter: attackers can name accounts that do not
/// exist, but the table holds the failures of some hours.
///
/// # Errors
/// The database is out of reach.
pub async fn fail(db: &Database, counter: &Counter, now: SystemTime) -> Result<Failure, Error> {
    const SQL: Sql = sql!(
        "
        with counted as (
            insert into sign_in_failures as f (subject, origin, failures, failed_at, blocked_until, refused, id)
            values ($1, $2, 1, $3, $3, false, $8)
            on conflict (subject, origin) do update set
                refused = f.blocked_until > $3,
                failed_at = case when f.blocked_until > $3 then f.failed_at else $3 end,
                failures = case
                    when f.blocked_until > $3 then f.failures
                    when f.failed_at <= $4 then 1
                    else f.failures + 1
                end,
                blocked_until = case
                    when f.blocked_until > $3 then f.blocked_until
                    when f.failed_at <= $4 or f.failures + 1 < $5 then $3
                    else $3 + least($6 * power(2, least(f.failures + 1 - $5, 30)), $7) * interval '1 second'
                end
            returning refused, failures, blocked_until
        ), swept as (
            delete from sign_in_failures f using (
                select subject, origin from sign_in_failures
                where failed_at <= $4 and (subject, origin) <> ($1, $2)
                order by failed_at limit 10
                for update"
        postgresql(" skip locked")
        "
            ) old
            where f.subject = old.subject and f.origin = old.origin
        )
        select refused, failures, blocked_until from counted"
    );
    let parameters: &super::Parameters<'_> = &[
        (&counter.subject, Type::TEXT),
        (&counter.origin, Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&(now - FORGOTTEN_AFTER), Type::TIMESTAMPTZ),
        (&FIRST_SLOWED, Type::INT4),
        (&FIRST_WAIT.as_secs_f64(), Type::FLOAT8),
        (&LONGEST_WAIT.as_secs_f64(), Type::FLOAT8),
        (&uuid_v7(now), Type::UUID),
    ];
    let row = db.query_one(Effect::Write, db.server.choose(SQL), parameters).await?;
    let blocked_until: SystemTime = column(&row, TABLE, "blocked_until")?;
    Ok(if column(&row, TABLE, "refused")? {
        Failure::Refused(blocked_until)
    } else {
        Failure::Counted { failures: column(&row, TABLE, "failures")?, closed_until: blocked_until }
    })
}

fn challenge(row: &Row, now: SystemTime) -> Result<Challenge, Error> {
    let blocked_until: Option<SystemTime> = column(row, TABLE, "blocked_until")?;
    let user: Option<Uuid> = column(row, "users", "id")?;
    let credentials = match user {
        None => None,
        Some(user) => Some(Credentials {
            user: user.into(),
            username: column(row, "users", "username")?,
            email: column(row, "users", "email")?,
            password_hash: column(row, "users", "password")?,
        }),
    };
    Ok(Challenge {
        credentials,
        counter: Counter { subject: column(row, TABLE, "subject")?, origin: column(row, TABLE, "origin")? },
        closed_until: blocked_until.filter(|until| *until > now),
    })
}
