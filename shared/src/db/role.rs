/// A database role that a function signs in as. Its privileges are in [`super::admin::roles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Creates accounts and cannot read any.
    Register,
    /// Checks passwords and starts sessions.
    SignIn,
    /// Checks and replaces passwords.
    Passwords,
    /// Checks passwords, and replaces email addresses or stores codes that do.
    Emails,
    /// Changes an email address by a mailed code.
    EmailConfirm,
    /// Stores codes that verify an address.
    VerificationRequest,
    /// Marks addresses as verified.
    VerificationConfirm,
    /// Stores codes that reset a password.
    ResetRequest,
    /// Replaces passwords by a mailed code.
    ResetConfirm,
    /// Rotates refresh tokens.
    Refresh,
    /// Ends sessions.
    Sessions,
    /// Changes profiles.
    Profiles,
    /// Reads accounts and sessions.
    Accounts,
    /// Deletes accounts.
    Eraser,
    /// Reads values.
    Reader,
    /// Reads all data that an account's owner may see.
    Exporter,
    /// Reads and writes values.
    Writer,
    /// Removes what has expired, and moves announcements that were left to the outbox.
    Sweeper,
    /// Reads accounts for operators.
    AdminReader,
    /// Disables and enables accounts, and ends sessions, for operators.
    AdminEditor,
    /// Deletes accounts for operators.
    AdminEraser,
    /// Stores codes that reset a password, for operators.
    AdminReset,
    /// Creates accounts of another service.
    Importer,
    /// Checks that the database answers. It has no privileges on tables.
    Monitor,
}

impl Role {
    /// Returns the name of the role in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "keyhold_register",
            Self::SignIn => "keyhold_sign_in",
            Self::Passwords => "keyhold_passwords",
            Self::Emails => "keyhold_emails",
            Self::EmailConfirm => "keyhold_email_confirm",
            Self::VerificationRequest => "keyhold_verification_request",
            Self::VerificationConfirm => "keyhold_verification_confirm",
            Self::ResetRequest => "keyhold_reset_request",
            Self::ResetConfirm => "keyhold_reset_confirm",
            Self::Refresh => "keyhold_refresh",
            Self::Sessions => "keyhold_sessions",
            Self::Profiles => "keyhold_profiles",
            Self::Accounts => "keyhold_accounts",
            Self::Eraser => "keyhold_eraser",
            Self::Reader => "keyhold_reader",
            Self::Exporter => "keyhold_exporter",
            Self::Writer => "keyhold_writer",
            Self::Sweeper => "keyhold_sweeper",
            Self::AdminReader => "keyhold_admin_reader",
            Self::AdminEditor => "keyhold_admin_editor",
            Self::AdminEraser => "keyhold_admin_eraser",
            Self::AdminReset => "keyhold_admin_reset",
            Self::Importer => "keyhold_importer",
            Self::Monitor => "keyhold_monitor",
        }
    }
}
