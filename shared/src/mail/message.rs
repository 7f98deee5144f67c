use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::domain::{CODE_LIFETIME, CodePurpose, MailedCode};

/// A message in the outbox. `mail-send` makes its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The address, as its owner wrote it.
    pub to: String,
    /// The username. Not the display name, so that a message tells a user with several accounts which one it is about, and carries
    /// as few words of strangers as possible.
    pub username: String,
    /// The reason for the message.
    #[serde(flatten)]
    pub content: Content,
}

/// The reason for a message and its variable parts. Times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are what their names say")]
pub enum Content {
    /// A code that verifies the address.
    EmailVerification { code: MailedCode, expires_at: u64 },
    /// A code that allows a new password.
    PasswordReset { code: MailedCode, expires_at: u64 },
    /// A code that makes this address the one of the account.
    EmailChange { code: MailedCode, expires_at: u64 },
    /// The password was changed.
    PasswordChanged { changed_at: u64 },
    /// The address was changed. The message goes to the one before.
    EmailChanged { changed_at: u64 },
}

impl Message {
    /// Makes the message with a code that was made at a time.
    pub fn with_code(to: String, username: String, purpose: CodePurpose, code: MailedCode, now: SystemTime) -> Self {
        let expires_at = seconds(now + CODE_LIFETIME);
        let content = match purpose {
            CodePurpose::EmailVerification => Content::EmailVerification { code, expires_at },
            CodePurpose::PasswordReset => Content::PasswordReset { code, expires_at },
            CodePurpose::EmailChange => Content::EmailChange { code, expires_at },
        };
        Self { to, username, content }
    }

    /// Makes the announcement of a new password.
    pub fn password_changed(to: String, username: String, now: SystemTime) -> Self {
        Self { to, username, content: Content::PasswordChanged { changed_at: seconds(now) } }
    }

    /// Makes the announcement of a new address to the one before.
    pub fn email_changed(to: String, username: String, now: SystemTime) -> Self {
        Self { to, username, content: Content::EmailChanged { changed_at: seconds(now) } }
    }

    /// Returns the JSON text.
    pub fn text(&self) -> String {
        // The serialization of strings and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Content {
    /// Returns the name of the reason in the log and of the templates.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::EmailVerification { .. } => "email_verification",
            Self::PasswordReset { .. } => "password_reset",
            Self::EmailChange { .. } => "email_change",
            Self::PasswordChanged { .. } => "password_changed",
            Self::EmailChanged { .. } => "email_changed",
        }
    }

    /// Returns the code, if the message has one.
    pub fn code(&self) -> Option<&MailedCode> {
        match self {
            Self::EmailVerification { code, .. }
            | Self::PasswordReset { code, .. }
            | Self::EmailChange { code, .. } => Some(code),
            Self::PasswordChanged { .. } | Self::EmailChanged { .. } => None,
        }
    }

    /// Whether the message has a code that has expired.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        match self {
            Self::EmailVerification { expires_at, .. }
            | Self::PasswordReset { expires_at, .. }
            | Self::EmailChange { expires_at, .. } => UNIX_EPOCH + Duration::from_secs(*expires_at) <= now,
            Self::PasswordChanged { .. } | Self::EmailChanged { .. } => false,
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
