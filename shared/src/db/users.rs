//! The table `users`.

use std::time::SystemTime;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Database, Effect, Error};
use crate::domain::{Age, Email, FullName, Gender, UserId, Username};

/// Everything about a user but the password.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The name to sign in with.
    pub username: Username,
    /// The address to sign in with.
    pub email: Email,
    /// What to call the user.
    pub full_name: FullName,
    /// Years.
    pub age: Age,
    /// In the user's own words.
    pub gender: Gender,
}

/// Why a user was not inserted.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// Another user has this username, perhaps in another case.
    #[error("the username is taken")]
    UsernameTaken,
    /// Another user has this address, perhaps in another case.
    #[error("the email address is taken")]
    EmailTaken,
    /// Anything else.
    #[error(transparent)]
    Database(Error),
}

impl From<Error> for InsertError {
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
/// See [`InsertError`].
pub async fn insert(
    db: &Database,
    id: UserId,
    profile: &Profile,
    password_hash: &str,
    now: SystemTime,
) -> Result<(), InsertError> {
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
    db.query_opt(Effect::Write, SQL, parameters).await?;
    Ok(())
}

/// What a sign-in compares a password with.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Whose they are.
    pub user: UserId,
    /// The stored hash.
    pub password_hash: String,
}

/// The credentials of the user with this username or e-mail address, whatever its case.
///
/// No username has an `@` and every address has one, so that a name finds one user at most.
///
/// # Errors
/// The database is out of reach.
pub async fn find_credentials(db: &Database, name: &str) -> Result<Option<Credentials>, Error> {
    const SQL: &str = "select id, password from users where username_canonical = $1 or email_canonical = $1";
    // PostgreSQL has no NUL in its texts, and no user has one in their name.
    if name.contains('\0') {
        return Ok(None);
    }
    let row = db.query_opt(Effect::Read, SQL, &[(&name.to_lowercase(), Type::TEXT)]).await?;
    row.map(|row| {
        let id: Uuid = row.try_get("id")?;
        Ok(Credentials { user: id.into(), password_hash: row.try_get("password")? })
    })
    .transpose()
    .map_err(|source: tokio_postgres::Error| Error::Corrupt { table: "users", source: Box::new(source) })
}
