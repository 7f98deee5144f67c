//! The ids of users, sessions, events, and requests for a mailed code.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::{NoContext, Timestamp, Uuid};

/// A text that is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id must be a UUID")]
pub struct InvalidId;

/// Makes a UUIDv7 (RFC 9562). The program makes ids, so that the database needs no sequence. They grow with time, so
/// that rows that are inserted together are adjacent in the index.
pub(crate) fn uuid_v7(now: SystemTime) -> Uuid {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since_epoch.as_secs(), since_epoch.subsec_nanos()))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Returns the id as it is stored.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let uuid: Uuid = text.parse().map_err(|_| InvalidId)?;
                // One form only, in any case (RFC 9562 §4): the parser also accepts braces, `urn:uuid:`, and no hyphens.
                text.eq_ignore_ascii_case(&uuid.to_string()).then_some(Self(uuid)).ok_or(InvalidId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! id_by_time {
    ($name:ident) => {
        impl $name {
            /// Makes a new id.
            pub fn new(now: SystemTime) -> Self {
                Self(uuid_v7(now))
            }
        }
    };
}

id!(
    /// The id of a user: `sub` in an access token, `users.id` in the database.
    UserId
);
id!(
    /// The id of a session: `sid` in an access token, `sessions.id` in the database.
    SessionId
);
id!(
    /// The id of an event of an account: `account_events.id` in the database.
    EventId
);
id!(
    /// The handle of a request for a mailed code, to which the code is bound: `mailed_codes.id` in the database. Only the client
    /// that asked for the code has it, so no other client can use up the tries.
    Handle
);
id_by_time!(UserId);
id_by_time!(SessionId);
id_by_time!(EventId);

impl Handle {
    /// Makes an unguessable handle (`UUIDv4`: 122 random bits).
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(uuid::Builder::from_random_bytes(bytes).into_uuid()))
    }
}
