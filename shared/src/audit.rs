//! What happens to accounts and sessions, for whoever watches over the service: one line of the log each, with a stable
//! `event`, the ids it is about, and by the span around it the request's id. What could be a secret has no place in here.

use std::time::Duration;

use tracing::{info, warn};

use crate::auth::access_token::Session;
use crate::auth::guessing::PasswordCheck;
use crate::domain::{SessionId, UserId};
use crate::request_log;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what their types say")]
pub enum Event {
    /// Somebody registered.
    AccountCreated(UserId),
    /// A user changed their e-mail address or what they say about themselves.
    AccountChanged(Session),
    /// A user deleted their account and all its data.
    AccountDeleted(Session),
    /// A password was right and a session has begun.
    SignedIn(Session),
    /// A password was wrong, or the account does not exist.
    PasswordWrong { user: Option<UserId>, purpose: PasswordCheck, failures: i32 },
    /// Because of that, no password of the account is checked for a while.
    PasswordLocked { user: Option<UserId>, wait: Duration },
    /// A password was not checked because of that.
    PasswordRefused { user: Option<UserId>, purpose: PasswordCheck, wait: Duration },
    /// A user changed their password, which ended their other sessions.
    PasswordChanged(Session),
    /// A refresh token was rotated.
    Refreshed(Session),
    /// A refresh token was shown again shortly after its rotation: an answer was lost, or requests raced.
    RefreshRepeated(Session),
    /// A refresh token was shown again later: it is in two hands. The session has ended.
    RefreshReused(Session),
    /// A refresh token was unknown, or its session had ended.
    RefreshUnknown,
    /// A refresh token was given up, which ended its session.
    Revoked(Session),
    /// A user ended one of their sessions.
    SessionEnded { by: Session, ended: SessionId },
    /// A user ended all their sessions.
    AllSessionsEnded(Session),
}

impl Event {
    /// Writes it into the log. What may be an attack is a warning.
    pub fn record(self) {
        match self {
            Self::AccountCreated(user) => info!(event = "account.created", user_id = %user),
            Self::AccountChanged(session) => about(session, "account.changed"),
            Self::AccountDeleted(session) => about(session, "account.deleted"),
            Self::SignedIn(session) => about(session, "session.begun"),
            Self::PasswordWrong { user, purpose, failures } => {
                let reason = if user.is_some() { "wrong_password" } else { "unknown_account" };
                let purpose = purpose.name();
                request_log::note_failed_sign_in();
                warn!(event = "password.wrong", user_id = user.map(tracing::field::display), purpose, reason, failures);
            }
            Self::PasswordLocked { user, wait } => {
                warn!(
                    event = "password.locked",
                    user_id = user.map(tracing::field::display),
                    wait_seconds = wait.as_secs()
                );
            }
            Self::PasswordRefused { user, purpose, wait } => {
                let (purpose, wait_seconds) = (purpose.name(), wait.as_secs());
                warn!(event = "password.refused", user_id = user.map(tracing::field::display), purpose, wait_seconds);
            }
            Self::PasswordChanged(session) => about(session, "password.changed"),
            Self::Refreshed(session) => about(session, "refresh.rotated"),
            Self::RefreshRepeated(session) => about(session, "refresh.repeated"),
            Self::RefreshReused(Session { user, id }) => {
                warn!(event = "refresh.reused", user_id = %user, session_id = %id);
            }
            Self::RefreshUnknown => info!(event = "refresh.unknown"),
            Self::Revoked(session) => about(session, "session.revoked"),
            Self::SessionEnded { by, ended } => {
                info!(event = "session.ended", user_id = %by.user, session_id = %by.id, ended_session_id = %ended);
            }
            Self::AllSessionsEnded(session) => about(session, "session.all_ended"),
        }
    }
}

fn about(session: Session, event: &'static str) {
    // A request that begins or refreshes a session has no access token to tell whose it is.
    request_log::note_session(session);
    let Session { user, id } = session;
    info!(event, user_id = %user, session_id = %id);
}
