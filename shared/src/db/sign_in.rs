//! Stored credentials and the counters of failed password checks: the tables `sign_in_failures`, `rate_limits`, and
//! `known_networks`. [`crate::auth::throttle`] has the rule.
//!
//! A password check has three steps:
//!
//! 1. [`find_by_name`] or [`find_by_session`] reads the stored hash and the counters.
//! 2. The caller verifies the password, which takes a quarter of a second.
//! 3. [`record_success`] or [`record_failure`] updates the counters. If the throttle has started since step 1, it
//!    rejects the attempt instead, so that concurrent guesses are no advantage.
//!
//! Statements change counters in the order of the list in `throttle`, so that concurrent ones do not deadlock.

use std::time::{Duration, SystemTime};

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::account_events::{NewEvent, record_event};
use super::dialect::{Sql, sql};
use super::rate_limits::{self, count_token, failures_subject, take_token};
use super::{Database, Effect, Error, Parameters, column, name_to_find};
use crate::auth::password_hash::PasswordHash;
use crate::auth::rate_limit::{ACCOUNT_CHANGES, ACCOUNT_FAILURES, RateLimit};
use crate::auth::throttle::{FIRST_WAIT, FORGET_AFTER, FREE_ATTEMPTS, KNOWN_NETWORK_LIFETIME, LONGEST_WAIT};
use crate::domain::{Device, EventKind, Network, Session, SessionId, UserId};

const TABLE: &str = "sign_in_failures";

/// The account of a password check, which may not exist.
pub struct PasswordCandidate {
    /// The credentials, if the account exists.
    pub credentials: Option<StoredCredentials>,
    /// The highest cost of all stored hashes.
    pub highest_cost: u32,
    /// The counters of its failures.
    pub counters: Counters,
    /// Time at which the throttle ends, if attempts are throttled now.
    pub throttled_until: Option<SystemTime>,
    /// Whether the account had so many failures from unknown networks that this attempt from one of them must fail.
    pub account_limit_reached: bool,
}

/// The credentials of an account.
pub struct StoredCredentials {
    /// The user.
    pub user: UserId,
    /// The username.
    pub username: String,
    /// The email address.
    pub email: String,
    /// Whether the user has proved to read the mail of the address.
    pub email_verified: bool,
    /// Whether an operator has disabled the account.
    pub disabled: bool,
    /// The stored password hash. An imported account may have none until its user sets a password by a mailed code.
    pub password_hash: Option<String>,
}

/// The credentials of an account whose password was verified.
pub struct VerifiedPassword {
    /// The credentials as they were read. Statements that rely on them check that this hash is still stored.
    pub credentials: StoredCredentials,
    /// A hash to store instead, if the stored one is outdated.
    pub renewed_hash: Option<PasswordHash>,
}

/// The origin of a password check.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The device.
    pub device: &'a Device,
    /// The limit of failures for each network, if there is one.
    pub limit: Option<RateLimit>,
}

impl Origin<'_> {
    /// Returns the subject and the limit of the network's bucket, if it is limited.
    fn bucket(self) -> Option<(String, RateLimit)> {
        self.device.network.as_ref().map(rate_limits::failures_of_network).zip(self.limit)
    }
}

/// The counters of a password check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// The row of consecutive failures.
    subject: String,
    /// The bucket of the network and its limit.
    network: Option<(String, RateLimit)>,
    /// The bucket of the account for failures from unknown networks, if this is one.
    account: Option<String>,
    /// The bucket of the account for changes, if this is a re-authentication.
    changes: Option<String>,
    /// The user who sees a failure among the events of the account, and the session of a re-authentication. None beyond the limit
    /// of the account, so that guesses from many networks do not fill the list.
    observer: Option<(UserId, Option<SessionId>)>,
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

/// Finds the account with this username or email address, ignoring case. `subject` is what failures for the name from the
/// network are counted under ([`DigestKeys::throttle_subject`](crate::auth::digest_keys::DigestKeys::throttle_subject)).
///
/// # Errors
/// The database is unavailable.
pub async fn find_by_name(
    db: &Database,
    canonical_name: &str,
    subject: String,
    origin: Origin<'_>,
    now: SystemTime,
) -> Result<PasswordCandidate, Error> {
    // A username has no `@` and an address has one, so a name matches one user at most. An imported username may have
    // one and then takes precedence over an address. The statement returns a row even without a match.
    const SQL: &str = concat!(
        "
        with account as (
            select id, username, email, email_verified_at is not null as email_verified,
                disabled_at is not null as disabled, password,
                exists (
                    select from known_networks k where k.user_id = u.id and k.network = $3 and k.seen_at > $5
                ) or exists (
                    select from sessions s where s.user_id = u.id and s.network = $3 and s.expires_at > $4
                ) as knows_network
            from users u where username_canonical = $1 or email_canonical = $1
            order by username_canonical = $1 desc limit 1
        ), highest as (
            select max(password_cost) as cost from users
        )
        select a.id, a.username, a.email, a.email_verified, a.disabled, a.password, a.knows_network, h.cost, f.throttled_until,
            network.full_at as network_full_at, failures.full_at as account_full_at, null::timestamptz as changes_full_at
        from highest h
        left join account a on true
        left join sign_in_failures f on f.subject = $2
        left join rate_limits network on network.subject = $6
        left join rate_limits failures on failures.subject = ",
        failures_subject!("a.id")
    );
    let bucket = origin.bucket();
    let parameters: &Parameters<'_> = &[
        (&name_to_find(canonical_name), Type::TEXT),
        (&subject, Type::TEXT),
        (&origin.device.network.as_ref().map(Network::as_str), Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&(now - KNOWN_NETWORK_LIFETIME), Type::TIMESTAMPTZ),
        (&bucket.as_ref().map(|(subject, _)| subject), Type::TEXT),
    ];
    let row = db.query_one(Effect::Read, SQL, parameters).await?;
    let knows_network = column::<Option<bool>>(&row, "known_networks", "knows_network")?.unwrap_or_default();
    let mut candidate = read_candidate(&row, subject, bucket, now)?;
    if let Some(StoredCredentials { user, .. }) = candidate.credentials {
        if !knows_network {
            candidate.counters.account = Some(rate_limits::failures_of_account(user));
            let full_at = column(&row, "rate_limits", "account_full_at")?;
            candidate.account_limit_reached = ACCOUNT_FAILURES.wait(full_at, now).is_some();
        }
        candidate.counters.observer = (!candidate.account_limit_reached).then_some((user, None));
    }
    Ok(candidate)
}

/// Finds the account of a session. Failures are counted for the session, so that an attacker without a session
/// cannot prevent the owner from changing the password.
///
/// # Errors
/// The session has ended, or the database is unavailable.
pub async fn find_by_session(
    db: &Database,
    session: Session,
    origin: Origin<'_>,
    now: SystemTime,
) -> Result<PasswordCandidate, Error> {
    const SQL: &str = "
        with account as (
            select u.id, u.username, u.email, u.email_verified_at is not null as email_verified,
                u.disabled_at is not null as disabled, u.password
            from sessions join users u on u.id = sessions.user_id
            where sessions.user_id = $1 and sessions.id = $2 and sessions.expires_at > $3
        )
        select a.id, a.username, a.email, a.email_verified, a.disabled, a.password, null::smallint as cost, f.throttled_until,
            network.full_at as network_full_at, changes.full_at as changes_full_at
        from account a
        left join sign_in_failures f on f.subject = $4
        left join rate_limits network on network.subject = $5
        left join rate_limits changes on changes.subject = $6";
    let (subject, bucket) = (session.id.to_string(), origin.bucket());
    let changes = rate_limits::changes_of_account(session.user);
    let parameters: &Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&subject, Type::TEXT),
        (&bucket.as_ref().map(|(subject, _)| subject), Type::TEXT),
        (&changes, Type::TEXT),
    ];
    let row = db.query_opt(Effect::Read, SQL, parameters).await?.ok_or(Error::SessionEnded)?;
    let mut candidate = read_candidate(&row, subject, bucket, now)?;
    candidate.counters.changes = Some(changes);
    candidate.counters.observer = Some((session.user, Some(session.id)));
    Ok(candidate)
}

/// Resets the counter of consecutive failures after a correct password, and counts a re-authentication as a change. If attempts
/// are throttled by now, changes nothing and returns the time at which the throttle ends.
///
/// # Errors
/// The database is unavailable.
pub async fn record_success(db: &Database, counters: &Counters, now: SystemTime) -> Result<Option<SystemTime>, Error> {
    const SIGN_IN: &str = "
        with current as (
            select throttled_until from sign_in_failures where subject = $1 for update
        ), reset as (
            delete from sign_in_failures where subject = $1 and throttled_until <= $2
        )
        select throttled_until from current where throttled_until > $2";
    const REAUTHENTICATION: &str = concat!(
        "
        with current as (
            select throttled_until from sign_in_failures where subject = $1 for update
        ), throttled as (
            select throttled_until from current where throttled_until > $2
        ), reset as (
            delete from sign_in_failures where subject = $1 and throttled_until <= $2
        ), counted as (
            insert into rate_limits as r (subject, full_at) select $3, $2 + $4 * interval '1 second'
            where not exists (select from throttled)
            ",
        take_token!("$2", "$4", "$5"),
        "
            returning full_at
        )
        select throttled_until from throttled
        union all
        select full_at - $5 * interval '1 second' from rate_limits
        where subject = $3 and not exists (select from counted) and not exists (select from throttled)"
    );
    let throttled: &Parameters<'_> = &[(&counters.subject, Type::TEXT), (&now, Type::TIMESTAMPTZ)];
    let row = match &counters.changes {
        None => db.query_opt(Effect::Write, SIGN_IN, throttled).await?,
        Some(changes) => {
            let parameters: &Parameters<'_> = &[
                (&counters.subject, Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
                (changes, Type::TEXT),
                (&ACCOUNT_CHANGES.interval.as_secs_f64(), Type::FLOAT8),
                (&ACCOUNT_CHANGES.slack().as_secs_f64(), Type::FLOAT8),
            ];
            db.query_opt(Effect::Write, REAUTHENTICATION, parameters).await?
        }
    };
    row.map(|row| column(&row, TABLE, "throttled_until")).transpose()
}

/// Counts a failed attempt and records it for the user, and deletes up to ten outdated counters and full buckets. The deletion
/// limits the tables to the failures of some hours although attackers can name any number of accounts that do not exist.
///
/// # Errors
/// The database is unavailable.
pub async fn record_failure(
    db: &Database,
    counters: &Counters,
    device: &Device,
    now: SystemTime,
) -> Result<Failure, Error> {
    match count_failure(db, counters, counters.observer, device, now).await {
        // The account was deleted meanwhile.
        Err(Error::SessionEnded) => count_failure(db, counters, None, device, now).await,
        counted => counted,
    }
}

async fn count_failure(
    db: &Database,
    counters: &Counters,
    observer: Option<(UserId, Option<SessionId>)>,
    device: &Device,
    now: SystemTime,
) -> Result<Failure, Error> {
    const SQL: Sql = sql!(
        "
        with counted as (
            insert into sign_in_failures as f (subject, failures, failed_at, throttled_until, refused)
            values ($1, 1, $2, $2, false)
            on conflict (subject) do update set
                refused = f.throttled_until > $2,
                failed_at = case when f.throttled_until > $2 then f.failed_at else $2 end,
                failures = case
                    when f.throttled_until > $2 then f.failures
                    when f.failed_at <= $3 then 1
                    else f.failures + 1
                end,
                throttled_until = case
                    when f.throttled_until > $2 then f.throttled_until
                    when f.failed_at <= $3 or f.failures + 1 < $4 then $2
                    else $2 + least($5 * power(2, least(f.failures + 1 - $4, 30)), $6) * interval '1 second'
                end
            returning refused, failures, throttled_until
        ), network as (
            insert into rate_limits as r (subject, full_at)
            select $7, $2 + $8 * interval '1 second' from counted where not refused and $7 is not null
            "
        count_token!("$2", "$8", "$9")
        "
            returning subject
        ), account as (
            insert into rate_limits as r (subject, full_at)
            select $10, $2 + $11 * interval '1 second' from counted, (select count(*) from network) after_network
            where not refused and $10 is not null
            "
        count_token!("$2", "$11", "$12")
        "
        ), observed as (
            select $13::uuid as user_id from counted where not refused and $13::uuid is not null
        ), "
        record_event!(
            "event", "observed", "user_id", "$14::uuid", "false", "$2", "$15", "$16", "$17", "$18", "$19"
        )
        ", deleted_outdated as (
            delete from sign_in_failures f using (
                select subject from sign_in_failures where failed_at <= $3 and subject <> $1
                order by failed_at limit 10
                for update"
        postgresql(" skip locked")
        "
            ) outdated
            where f.subject = outdated.subject
        ), deleted_full as (
            delete from rate_limits r using (
                select subject from rate_limits
                where full_at <= $2 and subject <> coalesce($7, '') and subject <> coalesce($10, '')
                order by full_at limit 10
                for update"
        postgresql(" skip locked")
        "
            ) outdated
            where r.subject = outdated.subject
        )
        select refused, failures, throttled_until from counted"
    );
    let (network, limit) = counters.network.as_ref().map(|(subject, limit)| (subject, *limit)).unzip();
    let limit = limit.unwrap_or(ACCOUNT_FAILURES);
    let (user, session) = observer.unzip();
    let session = session.flatten().map(SessionId::uuid);
    let event = NewEvent::new(EventKind::PasswordWrong, device, now);
    let counting: &Parameters<'_> = &[
        (&counters.subject, Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
        (&(now - FORGET_AFTER), Type::TIMESTAMPTZ),
        (&(FREE_ATTEMPTS + 1), Type::INT4),
        (&FIRST_WAIT.as_secs_f64(), Type::FLOAT8),
        (&LONGEST_WAIT.as_secs_f64(), Type::FLOAT8),
        (&network, Type::TEXT),
        (&limit.interval.as_secs_f64(), Type::FLOAT8),
        (&limit.refill().as_secs_f64(), Type::FLOAT8),
        (&counters.account, Type::TEXT),
        (&ACCOUNT_FAILURES.interval.as_secs_f64(), Type::FLOAT8),
        (&ACCOUNT_FAILURES.refill().as_secs_f64(), Type::FLOAT8),
        (&user.map(UserId::uuid), Type::UUID),
        (&session, Type::UUID),
    ];
    let parameters = [counting, &event.parameters()].concat();
    let row = db.query_one(Effect::Write, db.dialect().choose(SQL), &parameters).await?;
    let throttled_until: SystemTime = column(&row, TABLE, "throttled_until")?;
    Ok(if column(&row, TABLE, "refused")? {
        Failure::Throttled(throttled_until)
    } else {
        Failure::Counted { failures: column(&row, TABLE, "failures")?, throttled_until }
    })
}

/// Converts a cost of bcrypt, which is at most 31, for its column.
pub(super) fn stored_cost(hash: &PasswordHash) -> i16 {
    i16::try_from(hash.cost).unwrap_or(i16::MAX)
}

fn read_candidate(
    row: &Row,
    subject: String,
    network: Option<(String, RateLimit)>,
    now: SystemTime,
) -> Result<PasswordCandidate, Error> {
    let user: Option<Uuid> = column(row, "users", "id")?;
    let credentials = match user {
        None => None,
        Some(user) => Some(StoredCredentials {
            user: user.into(),
            username: column(row, "users", "username")?,
            email: column(row, "users", "email")?,
            email_verified: column(row, "users", "email_verified")?,
            disabled: column(row, "users", "disabled")?,
            password_hash: column(row, "users", "password")?,
        }),
    };
    let throttled_until: Option<SystemTime> = column(row, TABLE, "throttled_until")?;
    let network_full_at = column(row, "rate_limits", "network_full_at")?;
    let changes_full_at = column(row, "rate_limits", "changes_full_at")?;
    let waits: [Option<Duration>; 3] = [
        throttled_until.and_then(|until| until.duration_since(now).ok()).filter(|wait| !wait.is_zero()),
        network.as_ref().and_then(|(_, limit)| limit.wait(network_full_at, now)),
        ACCOUNT_CHANGES.wait(changes_full_at, now),
    ];
    Ok(PasswordCandidate {
        credentials,
        highest_cost: column::<Option<i16>>(row, "users", "cost")?
            .and_then(|cost| cost.try_into().ok())
            .unwrap_or_default(),
        counters: Counters { subject, network, account: None, changes: None, observer: None },
        throttled_until: waits.into_iter().flatten().max().map(|wait| now + wait),
        account_limit_reached: false,
    })
}
