//! What the service is about: types that cannot hold a wrong value. No I/O, no HTTP, no SQL.
//!
//! Each type has one door, `FromStr` or `TryFrom`, and an error whose `Display` tells the caller what to change.
//! The tests beside a type are its specification.

mod account;
pub mod cursor;
mod device;
mod email;
mod entry;
mod ids;
mod key;
mod listing;
mod operation;
mod password;
mod profile;
mod quota;
pub mod rfc3339;
mod session;
mod username;
mod value;
mod version;

pub use account::{Account, Profile, ProfileChange};
pub use device::{Device, Network, UserAgent};
pub use email::{Email, InvalidEmail};
pub use entry::{Condition, Entry, InvalidLifetime, Lifetime};
pub(crate) use ids::uuid_v7;
pub use ids::{InvalidId, SessionId, UserId};
pub use key::{InvalidKey, Key};
pub use listing::{InvalidLimit, InvalidPrefix, KeyPrefix, Limit};
pub use operation::{Action, Content, InvalidVerb, Operation, Verb};
pub use password::{InvalidPassword, Password, PasswordAttempt, PasswordPolicy};
pub use profile::{Age, FullName, Gender, InvalidAge, InvalidFullName, InvalidGender};
pub use quota::Quota;
pub use session::{Session, SessionInfo};
pub use username::{InvalidUsername, Username};
pub use value::{InvalidValue, Value};
pub use version::{InvalidVersion, Version, VersionMatch};
