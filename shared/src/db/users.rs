//! The table `users`.

use std::time::SystemTime;

use futures_util::future::join4;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::data::remove_everything_of;
use super::server::{Server, Sql, sql, tokens_of_ended};
use super::sign_in::Checked;
use super::{Database, Effect, Error, Statement, Work, column};
use crate::auth::access_token::Session;
use crate::domain::{Account, Profile, ProfileChange, UserId};

const TABLE: &str = "users";

/// Statements that the end of an account spends on removing its values, some of a tenth of a second each.
const MAX_STEPS: usize = 50;

/// Why an account was not written.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another user has this username, perhaps in another case.
    #[error("the username is taken")]
    UsernameTaken,
    /// Another user has this address, perhaps in another case.
    #[error("the email address is taken")]
    EmailTaken,
    /// The session was signed out, revoked, has expired, or its user is gone.
    #[error("the session has ended")]
    SessionEnded,
    /// The password is another one by now.
    #[error("the password was changed meanwhile")]
    PasswordChanged,
    /// Anything else.
    #[error(transparent)]
    Database(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.constraint() {
            Some("users_username_key") => Self::UsernameTaken,
            Some("users_email_key") => Self::EmailTaken,
            _ => Self::Database(error),
        }
    }
}

/// Inserts a user. Of several at once with one name, the constraints let one through.
///
/// # Errors
/// `UsernameTaken`, `EmailTaken`, or the database is out of reach.
pub async fn insert(
    db: &Database,
    id: UserId,
    profile: &Profile,
    password_hash: &str,
    now: SystemTime,
) -> Result<Account, Refusal> {
    const SQL: &str = "
        insert into users
            (id, username, username_canonical, email, email_canonical, password, full_name, age, gender, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let parameters: &super::Parameters<'_> = &[
        (&id.uuid(), Type::UUID),
        (&profile.username.as_str(), Type::TEXT),
        (&profile.username.canonical(), Type::TEXT),
        (&profile.email.as_str(), Type::TEXT),
        (&profile.email.canonical(), Type::TEXT),
        (&password_hash, Type::TEXT),
        (&profile.full_name.as_str(), Type::TEXT),
        (&profile.age.years(), Type::INT2),
        (&profile.gender.as_str(), Type::TEXT),
        (&now, Type::TIMESTAMPTZ),
    ];
    db.query(Effect::Write, SQL, parameters).await?;
    // Not read back: what registers can read nothing.
    Ok(Account {
        user_id: id,
        username: profile.username.as_str().to_owned(),
        email: profile.email.as_str().to_owned(),
        full_name: profile.full_name.as_str().to_owned(),
        age: profile.age.years(),
        gender: profile.gender.as_str().to_owned(),
        created_at: now,
    })
}

/// The account that a session belongs to.
///
/// # Errors
/// `SessionEnded`, or the database is out of reach.
pub async fn find(db: &Database, session: Session, now: SystemTime) -> Result<Account, Refusal> {
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        )
        select u.id, u.username, u.email, u.full_name, u.age, u.gender, u.created_at
        from session join users u on u.id = session.user_id";
    let parameters: &super::Parameters<'_> =
        &[(&session.user.uuid(), Type::UUID), (&session.id.uuid(), Type::UUID), (&now, Type::TIMESTAMPTZ)];
    let row = db.query_opt(Effect::Read, SQL, parameters).await?.ok_or(Refusal::SessionEnded)?;
    Ok(account(&row)?)
}

/// Changes what `change` names and leaves the rest.
///
/// # Errors
/// `EmailTaken`, `SessionEnded`, or the database is out of reach.
pub async fn update(
    db: &Database,
    session: Session,
    change: &ProfileChange,
    now: SystemTime,
) -> Result<Account, Refusal> {
    const SQL: &str = "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
        )
        update users as u set
            email = coalesce($4, u.email),
            email_canonical = coalesce($5, u.email_canonical),
            full_name = coalesce($6, u.full_name),
            age = coalesce($7, u.age),
            gender = coalesce($8, u.gender)
        from session where u.id = session.user_id
        returning u.id, u.username, u.email, u.full_name, u.age, u.gender, u.created_at";
    let parameters: &super::Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&change.email.as_ref().map(|email| email.as_str()), Type::TEXT),
        (&change.email.as_ref().map(|email| email.canonical()), Type::TEXT),
        (&change.full_name.as_ref().map(|name| name.as_str()), Type::TEXT),
        (&change.age.map(|age| age.years()), Type::INT2),
        (&change.gender.as_ref().map(|gender| gender.as_str()), Type::TEXT),
    ];
    let row = db.query_opt(Effect::Write, SQL, parameters).await?.ok_or(Refusal::SessionEnded)?;
    Ok(account(&row)?)
}

/// Replaces the password that was `checked` and ends every other session of the user.
///
/// # Errors
/// `SessionEnded`, `PasswordChanged`, or the database is out of reach.
pub async fn set_password(
    db: &Database,
    session: Session,
    checked: &Checked,
    password_hash: &str,
    now: SystemTime,
) -> Result<(), Refusal> {
    let change = PasswordChange { server: db.server, session, checked, password_hash, now };
    let row = db.run(Effect::Write, &change).await?.pop().ok_or(Refusal::SessionEnded)?;
    if column(&row, TABLE, "changed")? { Ok(()) } else { Err(Refusal::PasswordChanged) }
}

/// A transaction of one round trip. The user's row is locked by a statement of its own: the next one then sees every session
/// that a sign-in with the old password, which locks the row too, has begun.
struct PasswordChange<'a> {
    server: Server,
    session: Session,
    checked: &'a Checked,
    password_hash: &'a str,
    now: SystemTime,
}

impl Work for PasswordChange<'_> {
    type Output = Vec<Row>;

    const NAME: Option<&'static str> = Some("password change");

    async fn run(&self, client: &Client) -> Result<Vec<Row>, tokio_postgres::Error> {
        const LOCK: Sql = sql!("select id from users where id = $1 for " postgresql("no key ") "update");
        const CHANGE: Sql = sql!(
            "
            with session as (
                select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3
            ), changed as (
                update users as u set password = $5
                from session where u.id = session.user_id and u.password = $4
                returning u.id
            ), ended as (
                delete from sessions s using changed where s.user_id = changed.id and s.id <> $2"
            dsql(" returning s.user_id, s.id")
            ")"
            dsql(tokens_of_ended!())
            "
            select changed.id is not null as changed from session left join changed on changed.id = session.user_id"
        );
        let user = self.session.user.uuid();
        let lock = Statement { sql: self.server.choose(LOCK), parameters: &[(&user, Type::UUID)] };
        let parameters: &super::Parameters<'_> = &[
            (&user, Type::UUID),
            (&self.session.id.uuid(), Type::UUID),
            (&self.now, Type::TIMESTAMPTZ),
            (&self.checked.password_hash, Type::TEXT),
            (&self.password_hash, Type::TEXT),
        ];
        let change = Statement { sql: self.server.choose(CHANGE), parameters };
        // Sent in this order, without waiting for each other's answers. After one that fails, `commit` undoes the rest.
        let (begin, commit) = (client.batch_execute("begin"), client.batch_execute("commit"));
        let (begun, locked, changed, committed) = join4(begin, lock.run(client), change.run(client), commit).await;
        begun.and(locked)?;
        let rows = changed?;
        committed?;
        Ok(rows)
    }
}

/// Deletes the user whose password was `checked`, and with the user every row that is theirs.
///
/// On DSQL, which changes a limited number of rows at once, the account and its sessions go first and the values after them,
/// in steps: nobody is left who could see or write them, and what an interruption leaves, a sweep removes.
///
/// # Errors
/// `SessionEnded`, `PasswordChanged`, or the database is out of reach.
pub async fn delete(db: &Database, session: Session, checked: &Checked, now: SystemTime) -> Result<(), Refusal> {
    // On PostgreSQL the rows of the other tables go by their foreign keys. Writers of data hold the user's row of `data_clock`
    // when they ask for that of `users`: to take it first here is to wait for them and not to meet them halfway.
    const SQL: Sql = sql!(
        "
        with session as (
            select user_id from sessions where user_id = $1 and id = $2 and expires_at > $3"
        postgresql("
        ), clock as (
            select c.user_id from data_clock c join session on c.user_id = session.user_id for update of c
        ), writers as (
            select count(*) as waited_for from clock
        ), deleted as (
            delete from users u using session, writers
            where u.id = session.user_id and u.password = $4 and writers.waited_for >= 0
            returning u.id
        ), uncounted as (
            delete from sign_in_failures f using deleted where f.subject = deleted.id::text
        )")
        // Counts are as many as sessions and networks at most; those over the limit are forgotten some hours later.
        dsql("
        ), deleted as (
            delete from users u using session where u.id = session.user_id and u.password = $4
            returning u.id
        ), ended as (
            delete from sessions s using deleted where s.user_id = deleted.id
            returning s.user_id, s.id
        ), counted as (
            select f.subject, f.origin from deleted join sign_in_failures f on f.subject = deleted.id::text limit 500
        ), uncounted as (
            delete from sign_in_failures f using counted where f.subject = counted.subject and f.origin = counted.origin
        )")
        dsql(tokens_of_ended!())
        "
        select deleted.id is not null as deleted from session left join deleted on deleted.id = session.user_id"
    );
    let parameters: &super::Parameters<'_> = &[
        (&session.user.uuid(), Type::UUID),
        (&session.id.uuid(), Type::UUID),
        (&now, Type::TIMESTAMPTZ),
        (&checked.password_hash, Type::TEXT),
    ];
    let row = db.query_opt(Effect::Write, db.server.choose(SQL), parameters).await?.ok_or(Refusal::SessionEnded)?;
    if !column(&row, TABLE, "deleted")? {
        return Err(Refusal::PasswordChanged);
    }
    if db.server == Server::AuroraDsql
        && let Err(error) = remove_everything_of(db, session.user, MAX_STEPS).await
    {
        // The account is gone, which is what was asked for: asked again, its session would be gone as well.
        tracing::error!("values of a deleted account wait for the sweep: {}", crate::telemetry::chain(&error));
    }
    Ok(())
}

fn account(row: &Row) -> Result<Account, Error> {
    Ok(Account {
        user_id: column::<Uuid>(row, TABLE, "id")?.into(),
        username: column(row, TABLE, "username")?,
        email: column(row, TABLE, "email")?,
        full_name: column(row, TABLE, "full_name")?,
        age: column(row, TABLE, "age")?,
        gender: column(row, TABLE, "gender")?,
        created_at: column(row, TABLE, "created_at")?,
    })
}
