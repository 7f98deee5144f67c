//! Accounts that are imported from another service.

use std::time::SystemTime;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::sign_in::stored_cost;
use super::{Database, Effect, Parameters, column};
use crate::auth::password_hash::PasswordHash;
use crate::db;
use crate::domain::{Age, Email, EventKind, FullName, Gender, UserId, Username, uuid_v7};

/// An account to import.
pub struct ImportedAccount {
    /// The id.
    pub id: UserId,
    /// The username.
    pub username: Username,
    /// The email address.
    pub email: Email,
    /// Whether the user has proved to read the mail of the address.
    pub email_verified: bool,
    /// The hash of the password. Without it, the user sets one by a mailed code.
    pub password: Option<PasswordHash>,
    /// The display name.
    pub full_name: Option<FullName>,
    /// The age.
    pub age: Option<Age>,
    /// The gender.
    pub gender: Option<Gender>,
    /// Time of the registration.
    pub created_at: SystemTime,
    /// Whether the user cannot sign in until an operator enables the account.
    pub disabled: bool,
}

/// The id and the names of an account in canonical form.
pub struct TakenNames {
    /// The id.
    pub id: UserId,
    /// The username.
    pub username: String,
    /// The email address.
    pub email: String,
}

/// Why accounts were not imported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An account with the same id or name exists.
    #[error("an account with the same id or name exists")]
    Taken,
    /// Any other error of the statement.
    #[error(transparent)]
    Database(db::Error),
}

/// Returns the stored accounts that have an id or a name of one of `accounts`.
///
/// # Errors
/// The database is unavailable.
pub async fn find_taken(db: &Database, accounts: &[&ImportedAccount]) -> Result<Vec<TakenNames>, db::Error> {
    // Each select reads the index of its column.
    const SQL: &str = "
        select id, username_canonical, email_canonical from users where id = any($1)
        union
        select id, username_canonical, email_canonical from users where username_canonical = any($2)
        union
        select id, username_canonical, email_canonical from users where email_canonical = any($3)";
    let ids: Vec<Uuid> = accounts.iter().map(|account| account.id.uuid()).collect();
    let usernames: Vec<String> = accounts.iter().map(|account| account.username.canonical()).collect();
    let emails: Vec<String> = accounts.iter().map(|account| account.email.canonical()).collect();
    let parameters: &Parameters<'_> =
        &[(&ids, Type::UUID_ARRAY), (&usernames, Type::TEXT_ARRAY), (&emails, Type::TEXT_ARRAY)];
    let rows = db.query(Effect::Read, SQL, parameters).await?;
    let read = |row| {
        Ok(TakenNames {
            id: column::<Uuid>(row, "users", "id")?.into(),
            username: column(row, "users", "username_canonical")?,
            email: column(row, "users", "email_canonical")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Inserts all accounts, or none of them.
///
/// # Errors
/// `Taken`, or the database is unavailable.
pub async fn insert(db: &Database, accounts: &[&ImportedAccount], now: SystemTime) -> Result<(), Error> {
    const SQL: &str = "
        with imported as (
            insert into users
                (id, username, username_canonical, email, email_canonical, email_verified_at, password, password_cost,
                full_name, age, gender, created_at, disabled_at)
            select id, username, username_canonical, email, email_canonical, case when email_verified then $14 end, password,
                password_cost, full_name, age, gender, created_at, case when disabled then $14 end
            from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) as account
                (id, username, username_canonical, email, email_canonical, email_verified, password, password_cost,
                full_name, age, gender, created_at, disabled)
        ), counters as (
            insert into user_counters (user_id, version, keys, bytes, keys_allowed, bytes_allowed)
            select id, 0, 0, 0, 0, 0 from unnest($1) as account (id)
        )
        insert into account_events (user_id, id, event, created_at, by_operator)
        select user_id, event_id, $16, $14, true from unnest($1, $15) as event (user_id, event_id)";
    macro_rules! each {
        ($value:expr) => {
            accounts.iter().map($value).collect::<Vec<_>>()
        };
    }
    let events = each!(|_| uuid_v7(now));
    let parameters: &Parameters<'_> = &[
        (&each!(|account| account.id.uuid()), Type::UUID_ARRAY),
        (&each!(|account| account.username.as_str()), Type::TEXT_ARRAY),
        (&each!(|account| account.username.canonical()), Type::TEXT_ARRAY),
        (&each!(|account| account.email.as_str()), Type::TEXT_ARRAY),
        (&each!(|account| account.email.canonical()), Type::TEXT_ARRAY),
        (&each!(|account| account.email_verified), Type::BOOL_ARRAY),
        (&each!(|account| account.password.as_ref().map(|hash| hash.text.as_str())), Type::TEXT_ARRAY),
        (&each!(|account| account.password.as_ref().map_or(0, stored_cost)), Type::INT2_ARRAY),
        (&each!(|account| account.full_name.as_ref().map(FullName::as_str)), Type::TEXT_ARRAY),
        (&each!(|account| account.age.map(Age::years)), Type::INT2_ARRAY),
        (&each!(|account| account.gender.as_ref().map(Gender::as_str)), Type::TEXT_ARRAY),
        (&each!(|account| account.created_at), Type::TIMESTAMPTZ_ARRAY),
        (&each!(|account| account.disabled), Type::BOOL_ARRAY),
        (&now, Type::TIMESTAMPTZ),
        (&events, Type::UUID_ARRAY),
        (&EventKind::AccountCreated.name(), Type::TEXT),
    ];
    match db.query(Effect::Write, SQL, parameters).await {
        Ok(_) => Ok(()),
        Err(db::Error::Rejected(error)) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Err(Error::Taken),
        Err(error) => Err(Error::Database(error)),
    }
}
