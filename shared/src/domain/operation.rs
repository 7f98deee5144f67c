use std::str::FromStr;
use std::time::SystemTime;

use super::{Key, Value, Version};

/// One of a batch of operations.
pub struct Operation {
    /// Of which value.
    pub key: Key,
    /// What to do with it.
    pub action: Action,
    /// The version that it must have, if that matters.
    pub if_version: Option<Version>,
}

impl Operation {
    /// How many there are in one batch at most.
    pub const MOST: usize = 100;
}

/// What to do with a value.
pub enum Action {
    /// Read it.
    Get,
    /// Store it under a key that has none.
    Create(Content),
    /// Store it under a key that has one.
    Put(Content),
    /// Store it under a key that may have one.
    Upsert(Content),
    /// Remove it.
    Delete,
}

/// A value to be stored.
pub struct Content {
    /// What it is.
    pub value: Value,
    /// When it will be gone, if it ever will.
    pub expires_at: Option<SystemTime>,
}

/// How clients call what is done with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// As `GET` does.
    Get,
    /// As `POST` does.
    Create,
    /// As `PUT` does.
    Put,
    /// As `DELETE` does.
    Delete,
}

/// A verb that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("op must be get, create, put or delete")]
pub struct InvalidVerb;

impl FromStr for Verb {
    type Err = InvalidVerb;

    fn from_str(text: &str) -> Result<Self, InvalidVerb> {
        match text {
            "get" => Ok(Self::Get),
            "create" => Ok(Self::Create),
            "put" => Ok(Self::Put),
            "delete" => Ok(Self::Delete),
            _ => Err(InvalidVerb),
        }
    }
}
