//! The operations of a batch.

use std::str::FromStr;
use std::time::SystemTime;

use super::{Key, Value, Version};

/// An operation of a batch.
pub struct Operation {
    /// Key of the value.
    pub key: Key,
    /// The action on the value.
    pub action: Action,
    /// The version that the value must have, if any.
    pub if_version: Option<Version>,
}

impl Operation {
    /// Maximum number of operations in a batch.
    pub const MAX_IN_BATCH: usize = 100;
}

/// The action of an operation.
pub enum Action {
    /// Reads the value.
    Get,
    /// Stores a value. The key must not exist.
    Create(Content),
    /// Replaces a value. The key must exist.
    Put(Content),
    /// Stores or replaces a value.
    Upsert(Content),
    /// Deletes the value.
    Delete,
}

/// A value to store.
pub struct Content {
    /// The value.
    pub value: Value,
    /// Time at which it expires, if it does.
    pub expires_at: Option<SystemTime>,
}

/// The name of an action in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `get`.
    Get,
    /// `create`.
    Create,
    /// `put`.
    Put,
    /// `delete`.
    Delete,
}

/// An unknown verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("op must be get, create, put, or delete")]
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
