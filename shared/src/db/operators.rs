//! Statements of operators, which act on any account.

use std::time::SystemTime;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::account_events::{NewEvent, record_event};
use super::user_lock::run_locked;
use super::users::{account, delete_rest_of, delete_user, read_account, subjects_of};
use super::{Database, Effect, Error, Parameters, column, name_to_find};
use crate::domain::{AccountRecord, AccountUsage, EventKind, Limit, UserId};

/// The columns that [`read_record`] reads, of `users u`.
macro_rules! record {
    () => {
        concat!(account!(), ", u.disabled_at is not null as disabled")
    };
}

/// The accounts that an operator asks for.
#[derive(Clone, Copy, Debug)]
pub enum AccountQuery<'a> {
    /// The account with this username in canonical form.
    Username(&'a str),
    /// The account with this email address in canonical form.
    Email(&'a str),
    /// All accounts after this one, in the order of their registration.
    After(Option<UserId>),
}

/// Returns accounts, in the order of their registration.
///
/// # Errors
/// The database is unavailable.
pub async fn list(db: &Database, query: AccountQuery<'_>, limit: Limit) -> Result<Vec<AccountRecord>, Error> {
    const USERNAME: &str = concat!("select ", record!(), " from users u where u.username_canonical = $1");
    const EMAIL: &str = concat!("select ", record!(), " from users u where u.email_canonical = $1");
    const PAGE: &str = concat!("select ", record!(), " from users u where u.id > $1 order by u.id limit $2");
    let rows = match query {
        AccountQuery::Username(name) => db.query(Effect::Read, USERNAME, &[(&name_to_find(name), Type::TEXT)]).await?,
        AccountQuery::Email(name) => db.query(Effect::Read, EMAIL, &[(&name_to_find(name), Type::TEXT)]).await?,
        AccountQuery::After(user) => {
            let after = user.map_or(Uuid::nil(), UserId::uuid);
            let parameters: &Parameters<'_> = &[(&after, Type::UUID), (&limit.number(), Type::INT8)];
            db.query(Effect::Read, PAGE, parameters).await?
        }
    };
    rows.iter().map(read_record).collect()
}

/// Returns an account with what it uses.
///
/// # Errors
/// The database is unavailable.
pub async fn find(db: &Database, user: UserId, now: SystemTime) -> Result<Option<AccountUsage>, Error> {
    const SQL: &str = concat!(
        "select ",
        record!(),
        ", (select count(*) from sessions s where s.user_id = u.id and s.expires_at > $2) as sessions,
            coalesce(c.keys, 0) as keys, coalesce(c.bytes, 0) as bytes
        from users u left join user_counters c on c.user_id = u.id where u.id = $1"
    );
    let parameters: &Parameters<'_> = &[(&user.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ)];
    let Some(row) = db.query_opt(Effect::Read, SQL, parameters).await? else { return Ok(None) };
    Ok(Some(AccountUsage {
        record: read_record(&row)?,
        sessions: column(&row, "sessions", "sessions")?,
        keys: column(&row, "user_counters", "keys")?,
        bytes: column(&row, "user_counters", "bytes")?,
    }))
}

/// The changes of an account by an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountPatch {
    /// Whether the user can sign in. A disabled account has no sessions and no codes.
    pub disabled: Option<bool>,
    /// Whether the address counts as verified.
    pub email_verified: Option<bool>,
}

/// Changes an account. Returns none if it does not exist.
///
/// # Errors
/// The database is unavailable.
pub async fn update(
    db: &Database,
    user: UserId,
    patch: AccountPatch,
    now: SystemTime,
) -> Result<Option<AccountRecord>, Error> {
    const SQL: &str = concat!(
        "
        with previous as (
            select id, disabled_at is not null as disabled, email_verified_at is not null as verified from users where id = $1
        ), changed as (
            update users u set
                disabled_at = case
                    when $3::boolean is null then u.disabled_at when $3 then coalesce(u.disabled_at, $2)
                end,
                email_verified_at = case
                    when $4::boolean is null then u.email_verified_at when $4 then coalesce(u.email_verified_at, $2)
                end
            where u.id = $1
            returning ",
        record!(),
        "
        ), ended as (
            delete from sessions s using changed where s.user_id = changed.id and changed.disabled
        ), withdrawn as (
            delete from mailed_codes c using changed where c.user_id = changed.id and changed.disabled
        ), switched as (
            select id from previous where disabled <> $3::boolean
        ), verified as (
            select id from previous where not verified and $4::boolean
        ), ",
        record_event!("switch", "switched", "id", "null::uuid", "true", "$2", "$5", "$6", "$7", "$8", "$9"),
        ", ",
        record_event!("verification", "verified", "id", "null::uuid", "true", "$2", "$10", "$11", "$12", "$13", "$14"),
        "
        select * from changed"
    );
    let switched = if patch.disabled == Some(true) { EventKind::AccountDisabled } else { EventKind::AccountEnabled };
    let [switched, verified] = [switched, EventKind::EmailVerified].map(|kind| NewEvent::of_operator(kind, now));
    let changing: &Parameters<'_> = &[
        (&user.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&patch.disabled, Type::BOOL),
        (&patch.email_verified, Type::BOOL),
    ];
    let parameters = [changing, &switched.parameters(), &verified.parameters()].concat();
    let row = run_locked(db, user, SQL, &parameters).await?;
    row.map(|row| read_record(&row)).transpose()
}

/// Ends all sessions of a user and returns their number; none if the account does not exist.
///
/// # Errors
/// The database is unavailable.
pub async fn end_sessions(db: &Database, user: UserId, now: SystemTime) -> Result<Option<i64>, Error> {
    const SQL: &str = concat!(
        "
        with account as (
            select id from users where id = $1
        ), ended as (
            delete from sessions s where s.user_id = $1 returning s.expires_at
        ), ",
        record_event!("event", "account", "id", "null::uuid", "true", "$2", "$3", "$4", "$5", "$6", "$7"),
        "
        select (select count(*) from ended where expires_at > $2) as sessions from account"
    );
    let event = NewEvent::of_operator(EventKind::AllSessionsEnded, now);
    let ending: &Parameters<'_> = &[(&user.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ)];
    let row = run_locked(db, user, SQL, &[ending, &event.parameters()].concat()).await?;
    row.map(|row| column(&row, "sessions", "sessions")).transpose()
}

/// Deletes an account and all its data, as its owner does. Returns false if it does not exist.
///
/// # Errors
/// The database is unavailable.
pub async fn delete(db: &Database, user: UserId, now: SystemTime) -> Result<bool, Error> {
    const SQL: &str = concat!(
        "
        with deleted as (
            delete from users u where u.id = $1 returning u.id
        ), ",
        delete_user!("$2", "$3"),
        "
        select id from deleted"
    );
    let parameters: &Parameters<'_> =
        &[(&user.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ), (&subjects_of(user), Type::TEXT_ARRAY)];
    let deleted = db.query_opt(Effect::Write, SQL, parameters).await?.is_some();
    if deleted {
        delete_rest_of(db, user).await;
    }
    Ok(deleted)
}

fn read_record(row: &Row) -> Result<AccountRecord, Error> {
    Ok(AccountRecord { account: read_account(row)?, disabled: column(row, "users", "disabled")? })
}
