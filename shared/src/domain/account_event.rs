//! Security events of an account, which its user can read.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{EventId, SessionId, rfc3339};

/// Time for which events are stored.
pub const EVENT_LIFETIME: Duration = Duration::from_hours(90 * 24);

/// A kind of event. The log uses the same names, except for actions of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The account was created or imported.
    AccountCreated,
    /// The profile was changed.
    AccountUpdated,
    /// An operator has disabled the account, which ended all sessions.
    AccountDisabled,
    /// An operator has enabled the account.
    AccountEnabled,
    /// A sign-in started a session.
    SessionStarted,
    /// A session was ended from the list of sessions.
    SessionEnded,
    /// All sessions were ended.
    AllSessionsEnded,
    /// A session was ended by its refresh token.
    SessionRevoked,
    /// A refresh token was used a second time, which counts as theft and ended the session.
    RefreshReused,
    /// A password was wrong.
    PasswordWrong,
    /// The password was changed, which ended all sessions and started a new one.
    PasswordChanged,
    /// A mailed code has set a new password, which ended all sessions.
    PasswordReset,
    /// The email address was changed, which ended all sessions and started a new one.
    EmailChanged,
    /// The email address was verified.
    EmailVerified,
}

impl EventKind {
    /// Returns the name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccountCreated => "account.created",
            Self::AccountUpdated => "account.updated",
            Self::AccountDisabled => "account.disabled",
            Self::AccountEnabled => "account.enabled",
            Self::SessionStarted => "session.started",
            Self::SessionEnded => "session.ended",
            Self::AllSessionsEnded => "session.all_ended",
            Self::SessionRevoked => "session.revoked",
            Self::RefreshReused => "refresh.reused",
            Self::PasswordWrong => "password.wrong",
            Self::PasswordChanged => "password.changed",
            Self::PasswordReset => "password.reset",
            Self::EmailChanged => "email.changed",
            Self::EmailVerified => "email.verified",
        }
    }
}

/// An event as the user of the account sees it.
#[derive(Clone, Debug, Serialize)]
pub struct AccountEvent {
    /// The id, which grows with time.
    pub id: EventId,
    /// The name of its kind.
    pub event: String,
    /// Time of the event.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub created_at: SystemTime,
    /// The network of the request. None for one of an operator.
    pub network: Option<String>,
    /// The `User-Agent` of the request. None for one of an operator.
    pub user_agent: Option<String>,
    /// The session that was started, ended, or used.
    pub session_id: Option<SessionId>,
    /// Whether an operator has caused it.
    pub by_operator: bool,
}
