use std::time::SystemTime;

use serde::Serialize;

use super::{SessionId, rfc3339};

/// A sign-in that stands, as its owner sees it.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    /// What to end it by.
    pub id: SessionId,
    /// Whether the request came from this one.
    pub current: bool,
    /// When the user signed in.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub created_at: SystemTime,
    /// When its tokens were last renewed.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub refreshed_at: SystemTime,
    /// When it ends, unless it is refreshed before.
    #[serde(serialize_with = "rfc3339::serialize")]
    pub expires_at: SystemTime,
    /// The program that signed in, in its own words.
    pub user_agent: Option<String>,
    /// Where it was.
    pub network: Option<String>,
}
