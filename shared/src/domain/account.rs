//! Profiles and accounts.

use std::time::SystemTime;

use serde::Serialize;

use super::{Age, Email, FullName, Gender, UserId, Username, rfc3339};

/// The data of a new account, without the password.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Name to sign in with.
    pub username: Username,
    /// Email address to sign in with.
    pub email: Email,
    /// Display name.
    pub full_name: FullName,
    /// Age in years.
    pub age: Age,
    /// Gender in the user's own words.
    pub gender: Gender,
}

/// The changes to a profile. The username cannot be changed, because other users may know it. A change of the email address
/// takes the password.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    /// New display name.
    pub full_name: Option<FullName>,
    /// New age.
    pub age: Option<Age>,
    /// New gender.
    pub gender: Option<Gender>,
}

/// An account in responses to operators.
#[derive(Serialize)]
pub struct AccountRecord {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// Whether an operator has disabled it. It then has no sessions, and its user cannot sign in.
    pub disabled: bool,
}

/// An account and what it uses, in responses to operators.
#[derive(Serialize)]
pub struct AccountUsage {
    /// The account.
    #[serde(flatten)]
    pub record: AccountRecord,
    /// Its sessions.
    pub sessions: i64,
    /// Its keys.
    pub keys: i64,
    /// The bytes of its keys and values.
    pub bytes: i64,
}

/// An account in responses.
///
/// Its texts are returned as stored, because those of an imported account may break today's rules. Such an account may also lack a
/// field of the profile.
#[derive(Serialize)]
#[expect(missing_docs, reason = "the fields are those of Profile")]
pub struct Account {
    pub user_id: UserId,
    pub username: String,
    pub email: String,
    pub email_verified: bool,
    pub full_name: Option<String>,
    pub age: Option<i16>,
    pub gender: Option<String>,
    #[serde(serialize_with = "rfc3339::serialize")]
    pub created_at: SystemTime,
}
