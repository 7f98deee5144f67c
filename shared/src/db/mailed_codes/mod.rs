//! Mailed codes: the table `mailed_codes`.
//!
//! A request stores the digest of a code under its handle. To use the code takes two statements: [`check`] counts a wrong one,
//! and does not use up a right one, so that a request with another fault can be corrected. [`apply`] then deletes the code in the
//! transaction of the change, so that of concurrent requests one succeeds.

mod confirm;
mod request;

pub use self::confirm::{CodeOwner, CodeUse, PresentedCode, apply, check, check_of_session};
pub use self::request::{MailLimits, NewCode, Recipient, Requested, store};

const TABLE: &str = "mailed_codes";
