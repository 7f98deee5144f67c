//! The occasions on which a password is checked.

/// The occasion of a password check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// Sign-in.
    SignIn,
    /// Re-authentication of a signed-in user, before a change that an access token alone must not allow.
    Reauthentication,
}

impl PasswordCheck {
    /// Maximum attempts at a check whose account changes meanwhile. For example, the first of several concurrent
    /// sign-ins renews an outdated hash.
    pub const MAX_ATTEMPTS: usize = 3;

    /// Returns the name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Reauthentication => "reauthentication",
        }
    }
}
