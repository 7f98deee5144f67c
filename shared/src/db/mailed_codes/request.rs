//! Requests for a code.

use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::TABLE;
use crate::auth::rate_limit::RateLimit;
use crate::auth::throttle::KNOWN_NETWORK_LIFETIME;
use crate::db;
use crate::db::rate_limits::{self, mails_subject, take_token};
use crate::db::sign_in::VerifiedPassword;
use crate::db::users::Error;
use crate::db::{Database, Effect, column, name_to_find};
use crate::domain::{CODE_LIFETIME, CodePurpose, Email, Handle, Network, Session, UserId};

/// A code to store.
pub struct NewCode<'a> {
    /// The handle of the request.
    pub handle: Handle,
    /// The action that the code allows.
    pub purpose: CodePurpose,
    /// The keyed digest of the code.
    pub digest: &'a [u8],
    /// The network of the request.
    pub network: Option<&'a Network>,
    /// The limits of messages.
    pub limits: MailLimits,
    /// Time of the request.
    pub now: SystemTime,
}

/// How many messages may be requested. None does not limit.
#[derive(Clone, Copy)]
pub struct MailLimits {
    /// By a network.
    pub network: Option<RateLimit>,
    /// For an account.
    pub account: Option<RateLimit>,
}

/// The account that a code is for.
#[derive(Clone, Copy)]
pub enum Recipient<'a> {
    /// The account with this username or email address in canonical form, if there is one.
    Name(&'a str),
    /// The account of a session.
    Session(Session),
    /// The account with this id, on request of an operator.
    User(UserId),
    /// The account whose password was verified.
    Verified(&'a VerifiedPassword),
    /// The account of a session whose password was verified. The code is mailed to a new address.
    NewAddress(Session, &'a VerifiedPassword, &'a Email),
}

/// The outcome of a request for a code.
#[derive(Debug, PartialEq, Eq)]
pub enum Requested {
    /// The code is stored and to be mailed.
    Stored {
        /// The user.
        user: UserId,
        /// The username.
        username: String,
        /// The address.
        to: String,
    },
    /// The account does not exist, or it was mailed often enough. A row without a user is stored, which no code fits.
    Withheld,
    /// The network or the account may request the next message at this time.
    Throttled(SystemTime),
}

/// Makes the statement that stores a code for the row of a CTE `account`.
///
/// The limits are taken one after the other. An account whose interval is 0 has no limit. A row is stored whether or not there is
/// an account, so that both cases take equally long.
macro_rules! store_code {
    ($account:expr) => {
        concat!(
            "
            with account as (",
            $account,
            "), network_token as (
                insert into rate_limits as r (subject, full_at)
                select $6, $4 + $7 * interval '1 second' from account where $6 is not null and not is_taken
                ",
            take_token!("$4", "$7", "$8"),
            "
                returning subject
            ), allowed as (
                select * from account where not is_taken and ($6 is null or exists (select from network_token))
            ), account_token as (
                insert into rate_limits as r (subject, full_at)
                select bucket, $4 + $9 * interval '1 second' from allowed where $9 > 0
                ",
            take_token!("$4", "$9", "$10"),
            "
                returning subject
            ), mailable as (
                select id from allowed where $9 = 0 or exists (select from account_token)
            ), stored as (
                insert into mailed_codes
                    (id, purpose, user_id, email, email_canonical, digest, wrong_tries, expires_at)
                select $1, $2, (select id from mailable), email, email_canonical, $3, 0, $5
                from allowed
            )
            select a.id, a.username, a.email, a.is_taken,
                exists (select from allowed) as network_allows, exists (select from mailable) as account_allows,
                (select full_at from rate_limits where subject = $6) as network_full_at,
                (select full_at from rate_limits r where r.subject = a.bucket) as account_full_at
            from account a"
        )
    };
}

const NAME: &str = store_code!(concat!(
    "
    select a.id, a.username, a.email, a.email_canonical, false as is_taken, ",
    mails_subject!("coalesce(a.knows_network, false)", "coalesce(a.id, $1)"),
    " as bucket
    from (select) one left join (
        select id, username, email, email_canonical, exists (
            select from known_networks k where k.user_id = u.id and k.network = $12 and k.seen_at > $13
        ) as knows_network
        from users u where username_canonical = $11 or email_canonical = $11
        order by username_canonical = $11 desc limit 1
    ) a on true"
));
const SESSION: &str = store_code!(concat!(
    "
    select u.id, u.username, u.email, u.email_canonical, false as is_taken, ",
    mails_subject!("true", "u.id"),
    " as bucket
    from sessions s join users u on u.id = s.user_id
    where s.user_id = $11 and s.id = $12 and s.expires_at > $4"
));
const USER: &str = store_code!(concat!(
    "
    select u.id, u.username, u.email, u.email_canonical, false as is_taken, ",
    mails_subject!("true", "u.id"),
    " as bucket
    from users u where u.id = $11"
));
const VERIFIED: &str = store_code!(concat!(
    "
    select u.id, u.username, u.email, u.email_canonical, false as is_taken, ",
    mails_subject!("true", "u.id"),
    " as bucket
    from users u where u.id = $11 and u.password = $12"
));
const NEW_ADDRESS: &str = store_code!(concat!(
    "
    select u.id, u.username, $13 as email, $14 as email_canonical,
        exists (select from users other where other.email_canonical = $14 and other.id <> $11) as is_taken, ",
    mails_subject!("true", "u.id"),
    " as bucket
    from sessions s join users u on u.id = s.user_id
    where s.user_id = $11 and s.id = $12 and s.expires_at > $4 and u.password = $15"
));

/// Stores a code for an account, if its limits allow a message. Returns none, and stores nothing, if the verified password was
/// replaced, or no account has the id.
///
/// # Errors
/// `EmailTaken`, the session has ended, or the database is unavailable.
pub async fn store(db: &Database, code: &NewCode<'_>, recipient: Recipient<'_>) -> Result<Option<Requested>, Error> {
    let NewCode { handle, purpose, digest, network, limits, now } = code;
    let (handle, purpose, expires_at) = (handle.uuid(), purpose.name(), *now + CODE_LIFETIME);
    let by_network =
        network.zip(limits.network).map(|(network, limit)| (rate_limits::mails_of_network(network), limit));
    let (subject, network_limit) = by_network.unzip();
    let [network_limit, account_limit] = [network_limit, limits.account].map(|limit| limit.unwrap_or(RateLimit::NONE));
    let [network_times, account_times] =
        [network_limit, account_limit].map(|limit| (limit.interval.as_secs_f64(), limit.slack().as_secs_f64()));
    let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
        (&handle, Type::UUID),
        (&purpose, Type::TEXT),
        (digest, Type::BYTEA),
        (now, Type::TIMESTAMPTZ),
        (&expires_at, Type::TIMESTAMPTZ),
        (&subject, Type::TEXT),
        (&network_times.0, Type::FLOAT8),
        (&network_times.1, Type::FLOAT8),
        (&account_times.0, Type::FLOAT8),
        (&account_times.1, Type::FLOAT8),
    ];
    let row = match recipient {
        Recipient::Name(name) => {
            let (name, network) = (name_to_find(name), network.map(Network::as_str));
            let known_since = *now - KNOWN_NETWORK_LIFETIME;
            parameters.extend::<[(&(dyn ToSql + Sync), Type); 3]>([
                (&name, Type::TEXT),
                (&network, Type::TEXT),
                (&known_since, Type::TIMESTAMPTZ),
            ]);
            Some(db.query_one(Effect::Write, NAME, &parameters).await?)
        }
        Recipient::Session(session) => {
            let (user, session) = (session.user.uuid(), session.id.uuid());
            parameters.extend::<[(&(dyn ToSql + Sync), Type); 2]>([(&user, Type::UUID), (&session, Type::UUID)]);
            Some(db.query_opt(Effect::Write, SESSION, &parameters).await?.ok_or(db::Error::SessionEnded)?)
        }
        Recipient::User(user) => {
            let user = user.uuid();
            parameters.push((&user, Type::UUID));
            db.query_opt(Effect::Write, USER, &parameters).await?
        }
        Recipient::Verified(verified) => {
            let user = verified.credentials.user.uuid();
            parameters.extend::<[(&(dyn ToSql + Sync), Type); 2]>([
                (&user, Type::UUID),
                (&verified.credentials.password_hash, Type::TEXT),
            ]);
            db.query_opt(Effect::Write, VERIFIED, &parameters).await?
        }
        Recipient::NewAddress(session, verified, email) => {
            let (user, session) = (session.user.uuid(), session.id.uuid());
            let (address, canonical) = (email.as_str(), email.canonical());
            parameters.extend::<[(&(dyn ToSql + Sync), Type); 5]>([
                (&user, Type::UUID),
                (&session, Type::UUID),
                (&address, Type::TEXT),
                (&canonical, Type::TEXT),
                (&verified.credentials.password_hash, Type::TEXT),
            ]);
            db.query_opt(Effect::Write, NEW_ADDRESS, &parameters).await?
        }
    };
    row.map(|row| read_requested(&row, recipient, [network_limit, account_limit], *now)).transpose()
}

fn read_requested(
    row: &Row,
    recipient: Recipient<'_>,
    [network_limit, account_limit]: [RateLimit; 2],
    now: SystemTime,
) -> Result<Requested, Error> {
    let full_at = |name| Ok::<_, Error>(column::<Option<SystemTime>>(row, "rate_limits", name)?.unwrap_or(now));
    if column(row, "users", "is_taken")? {
        return Err(Error::EmailTaken);
    }
    if !column::<bool>(row, TABLE, "network_allows")? {
        return Ok(Requested::Throttled(network_limit.token_at(full_at("network_full_at")?)));
    }
    let user: Option<Uuid> = column(row, "users", "id")?;
    match (user, column::<bool>(row, TABLE, "account_allows")?) {
        (Some(user), true) => Ok(Requested::Stored {
            user: user.into(),
            username: column(row, "users", "username")?,
            to: column(row, "users", "email")?,
        }),
        // The caller of a request by name must not learn that there is an account.
        _ if matches!(recipient, Recipient::Name(_)) => Ok(Requested::Withheld),
        _ => Ok(Requested::Throttled(account_limit.token_at(full_at("account_full_at")?))),
    }
}
