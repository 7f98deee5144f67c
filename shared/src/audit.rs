//! Security events of accounts and sessions: one log line each, with a stable name (`event`) and the ids it is about.
//! The log adds the request id. A field must never hold a secret.

use std::time::Duration;

use tracing::{info, warn};

use crate::auth::password_check::PasswordCheck;
use crate::domain::{CodePurpose, EventKind, Session, SessionId, UserId};
use crate::telemetry::stats;

/// A security event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what their types say")]
pub enum Event {
    /// A user registered.
    AccountCreated(UserId),
    /// A user changed the profile.
    AccountUpdated(Session),
    /// A user deleted the account and all its data.
    AccountDeleted(Session),
    /// A user signed in, which started a session.
    SessionStarted(Session),
    /// A password was wrong, the account does not exist, or it had too many failures from unknown networks.
    PasswordWrong { user: Option<UserId>, purpose: PasswordCheck, failures: i32, account_limit_reached: bool },
    /// The failure before this event throttles further attempts for a while.
    ThrottleStarted { user: Option<UserId>, wait: Duration },
    /// A password was not checked because of the throttle.
    PasswordThrottled { user: Option<UserId>, purpose: PasswordCheck, wait: Duration },
    /// A user changed the password, which ended all sessions. The one that follows has replaced them.
    PasswordChanged(Session),
    /// A user changed the email address, which ended all sessions. The one that follows has replaced them.
    EmailChanged(Session),
    /// A code was mailed to a user.
    CodeMailed(UserId, CodePurpose),
    /// No code was mailed: the account does not exist, or it was mailed often enough.
    CodeWithheld(CodePurpose),
    /// A request for a code was rejected because there were too many.
    MailThrottled { purpose: CodePurpose, wait: Duration },
    /// A mailed code was wrong, used, or expired.
    CodeRejected(CodePurpose),
    /// A user proved to read the mail of the address.
    EmailVerified(UserId),
    /// A user set a new password by a mailed code, which ended all sessions.
    PasswordReset(UserId),
    /// A refresh token was rotated.
    RefreshRotated(Session),
    /// A refresh token was presented again shortly after its rotation: a response was lost, or requests raced.
    RefreshRepeated(Session),
    /// A refresh token was presented again later, which counts as theft and ended the session.
    RefreshReused(Session),
    /// A refresh token was rejected because its session was refreshed too often.
    RefreshThrottled { session: Session, wait: Duration },
    /// A registration was rejected because its network has registered too many accounts.
    RegistrationThrottled { wait: Duration },
    /// A refresh token that lost its place in a burst of rotations was presented again, and rejected.
    RefreshSuperseded(Session),
    /// A refresh token was unknown, or its session had ended.
    RefreshUnknown,
    /// A refresh token was revoked, which ended its session.
    SessionRevoked(Session),
    /// A user ended one of their sessions.
    SessionEnded { by: Session, ended: SessionId },
    /// A user ended all their sessions.
    AllSessionsEnded(Session),
}

impl Event {
    /// Writes the event to the log. Possible attacks are warnings.
    pub fn record(self) {
        match self {
            Self::AccountCreated(user) => info!(event = EventKind::AccountCreated.name(), user_id = %user),
            Self::AccountUpdated(session) => record_for(session, EventKind::AccountUpdated.name()),
            Self::AccountDeleted(session) => record_for(session, "account.deleted"),
            Self::SessionStarted(session) => record_for(session, EventKind::SessionStarted.name()),
            Self::PasswordWrong { user, purpose, failures, account_limit_reached } => {
                let purpose = purpose.name();
                let reason = match user {
                    None => "unknown_account",
                    Some(_) if account_limit_reached => "account_limit",
                    Some(_) => "wrong_password",
                };
                stats::record_failed_sign_in();
                warn!(event = EventKind::PasswordWrong.name(), user_id = user.map(display), purpose, reason, failures);
            }
            Self::ThrottleStarted { user, wait } => {
                let wait_seconds = wait.as_secs();
                warn!(event = "password.throttle_started", user_id = user.map(display), wait_seconds);
            }
            Self::PasswordThrottled { user, purpose, wait } => {
                let (purpose, wait_seconds) = (purpose.name(), wait.as_secs());
                stats::record_failed_sign_in();
                stats::record_throttled();
                warn!(event = "password.throttled", user_id = user.map(display), purpose, wait_seconds);
            }
            Self::PasswordChanged(session) => record_for(session, EventKind::PasswordChanged.name()),
            Self::EmailChanged(session) => record_for(session, EventKind::EmailChanged.name()),
            Self::CodeMailed(user, purpose) => info!(event = "code.mailed", user_id = %user, purpose = purpose.name()),
            Self::CodeWithheld(purpose) => info!(event = "code.withheld", purpose = purpose.name()),
            Self::MailThrottled { purpose, wait } => {
                let (purpose, wait_seconds) = (purpose.name(), wait.as_secs());
                stats::record_throttled();
                warn!(event = "code.throttled", purpose, wait_seconds);
            }
            Self::CodeRejected(purpose) => warn!(event = "code.rejected", purpose = purpose.name()),
            Self::EmailVerified(user) => info!(event = EventKind::EmailVerified.name(), user_id = %user),
            Self::PasswordReset(user) => info!(event = EventKind::PasswordReset.name(), user_id = %user),
            Self::RefreshRotated(session) => record_for(session, "refresh.rotated"),
            Self::RefreshRepeated(session) => record_for(session, "refresh.repeated"),
            Self::RefreshSuperseded(session) => record_for(session, "refresh.superseded"),
            Self::RefreshReused(Session { user, id }) => {
                stats::record_reused_refresh();
                warn!(event = EventKind::RefreshReused.name(), user_id = %user, session_id = %id);
            }
            Self::RefreshThrottled { session: Session { user, id }, wait } => {
                stats::record_throttled();
                warn!(event = "refresh.throttled", user_id = %user, session_id = %id, wait_seconds = wait.as_secs());
            }
            Self::RegistrationThrottled { wait } => {
                stats::record_throttled();
                warn!(event = "registration.throttled", wait_seconds = wait.as_secs());
            }
            Self::RefreshUnknown => info!(event = "refresh.unknown"),
            Self::SessionRevoked(session) => record_for(session, EventKind::SessionRevoked.name()),
            Self::SessionEnded { by, ended } => {
                info!(event = EventKind::SessionEnded.name(), user_id = %by.user, session_id = %by.id, ended_session_id = %ended);
            }
            Self::AllSessionsEnded(session) => record_for(session, EventKind::AllSessionsEnded.name()),
        }
    }
}

/// Records what an operator did, and to which account.
pub(crate) fn record_operator_action(action: &'static str, operator: &str, user: Option<UserId>) {
    info!(event = "operator.action", action, operator, user_id = user.map(display));
}

/// Records a request to an admin route by a principal who is not an operator, or with a wrong token.
pub(crate) fn record_rejected_operator(principal: &str) {
    warn!(event = "operator.rejected", operator = principal);
}

fn record_for(session: Session, event: &'static str) {
    // A sign-in or a refresh has no access token from which the request line could take the session.
    stats::record_session(session);
    let Session { user, id } = session;
    info!(event, user_id = %user, session_id = %id);
}
