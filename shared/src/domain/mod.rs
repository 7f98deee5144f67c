//! Value types that contain only valid values. This module has no I/O, no HTTP, and no SQL.
//!
//! `FromStr`, `TryFrom`, and [`PasswordPolicy::accept`] check the input of a client, and their errors tell the client
//! what to change. The tests in the file of a type are its specification.

mod account;
mod account_event;
pub mod cursor;
mod device;
mod email;
mod entry;
mod ids;
mod invisible;
mod key;
mod listing;
mod mailed_code;
mod operation;
mod password;
mod profile;
mod quota;
pub mod rfc3339;
mod session;
mod trusted_proxies;
mod username;
mod value;
mod version;
mod whole_number;

pub use account::{Account, AccountRecord, AccountUsage, Profile, ProfileChange};
pub use account_event::{AccountEvent, EVENT_LIFETIME, EventKind};
pub use device::{Device, Network, UserAgent};
pub use email::{Email, InvalidEmail, canonical_name};
pub use entry::{Condition, Entry, InvalidLifetime, Lifetime};
pub(crate) use ids::uuid_v7;
pub use ids::{EventId, Handle, InvalidId, SessionId, UserId};
pub use key::{InvalidKey, Key};
pub use listing::{InvalidLimit, InvalidPrefix, KeyPrefix, Limit};
pub use mailed_code::{CODE_LIFETIME, CodePurpose, InvalidMailedCode, MAX_WRONG_TRIES, MailedCode};
pub use operation::{Action, Content, InvalidVerb, Operation, Verb};
pub use password::{InvalidPassword, Password, PasswordAttempt, PasswordPolicy};
pub use profile::{Age, FullName, Gender, InvalidAge, InvalidFullName, InvalidGender};
pub use quota::Quota;
pub use session::{KnownNetwork, Session, SessionInfo, SessionPolicy};
pub use trusted_proxies::{InvalidRange, TrustedProxies};
pub use username::{InvalidUsername, Username};
pub use value::{InvalidValue, Value};
pub use version::{InvalidVersion, Version, VersionMatch};
