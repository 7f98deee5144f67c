use std::time::SystemTime;

use serde::Serialize;

use super::{Age, Email, FullName, Gender, UserId, Username, rfc3339};

/// What a new user says about themselves, but for the password.
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

/// What a user changes of it. The username stays: others may know the user by it.
#[derive(Clone, Debug, Default)]
pub struct ProfileChange {
    /// Another address.
    pub email: Option<Email>,
    /// Another name.
    pub full_name: Option<FullName>,
    /// Another age.
    pub age: Option<Age>,
    /// Another gender.
    pub gender: Option<Gender>,
}

/// An account as its owner sees it. Its texts are as they are stored: those of an imported account may break a rule that
/// a new one would be held to.
#[derive(Serialize)]
#[expect(missing_docs, reason = "each is what it is in Profile")]
pub struct Account {
    pub user_id: UserId,
    pub username: String,
    pub email: String,
    pub full_name: String,
    pub age: i16,
    pub gender: String,
    #[serde(serialize_with = "rfc3339::serialize")]
    pub created_at: SystemTime,
}
