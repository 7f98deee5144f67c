//! Sessions, and their form in the list of sessions.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{SessionId, UserId, rfc3339};

/// A session and its user, as an access token names them (`sid`, `sub`).
///
/// Only the database knows whether the session still exists: every statement that is run for a user checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The id of the session.
    pub id: SessionId,
    /// The id of its user.
    pub user: UserId,
}

impl Session {
    /// Makes a new session of `user` that starts `now`.
    pub fn new(user: UserId, now: SystemTime) -> Self {
        Self { id: SessionId::new(now), user }
    }
}

/// How long sessions and their rotated refresh tokens are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// Lifetime of a session after its last refresh.
    pub idle_lifetime: Duration,
    /// Lifetime of a session after its sign-in, regardless of refreshes.
    pub max_lifetime: Duration,
    /// Time after its rotation for which a refresh token returns the same successor again.
    pub retry_window: Duration,
}

impl SessionPolicy {
    /// Returns the time at which a session that starts now ends unless it is refreshed before.
    pub fn first_expiry(&self, now: SystemTime) -> SystemTime {
        now + self.idle_lifetime.min(self.max_lifetime)
    }
}

/// A session as its owner sees it in the list of sessions.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    /// The id by which it can be ended.
    pub id: SessionId,
    /// Whether the request belongs to this session.
    pub current: bool,
    /// Time of the sign-in.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub created_at: SystemTime,
    /// Time of the last token refresh.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub refreshed_at: SystemTime,
    /// Time at which it ends unless it is refreshed before.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub expires_at: SystemTime,
    /// The `User-Agent` of the sign-in.
    pub user_agent: Option<String>,
    /// The network of the last sign-in or refresh.
    pub network: Option<String>,
}

/// A network that a user is known to use.
#[derive(Clone, Debug, Serialize)]
pub struct KnownNetwork {
    /// An IPv4 address or an IPv6 /64 network.
    pub network: String,
    /// Time of the last sign-in from it, or of the first refresh of a session that came from another one before.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub seen_at: SystemTime,
}
