//! Settings of a deployment that handlers use. Settings of one module alone, such as those of the database connection,
//! are read there by [`crate::env`]. `shared/README.md` lists all of them.

use std::time::Duration;

use crate::auth::access_token::{self, TokenPolicy};
use crate::auth::admin_token::AdminToken;
use crate::auth::password_hash::{DEFAULT_COST, HIGHEST_COST, LOWEST_COST};
use crate::auth::refresh_token::RACE_WINDOW;
use crate::domain::{PasswordPolicy, Quota, SessionPolicy, TrustedProxies};
use crate::env::{self, EnvError};
use crate::mail::Outbox;

/// The settings that a deployment can choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `BCRYPT_COST`: cost of new password hashes, 10–16. Default: 12.
    pub bcrypt_cost: u32,
    /// `PASSWORD_MIN_LENGTH`: characters of a new password, 8–64. Default: 8.
    pub password_policy: PasswordPolicy,
    /// `JWT_ISSUER`, `JWT_AUDIENCE` (default: `keyhold`) and the lifetime of access tokens.
    pub tokens: TokenPolicy,
    /// `SESSION_IDLE_DAYS` (1–365, default: 30), `SESSION_MAX_DAYS` (1–3650, default: 180), and `REFRESH_RETRY_SECONDS`
    /// (10–600, default: 120).
    pub sessions: SessionPolicy,
    /// `REGISTRATION`: whether anyone can register, `open` (default) or `closed`.
    pub registration_is_open: bool,
    /// `REQUIRE_VERIFIED_EMAIL`: whether users have to verify the address before they sign in, `false` (default) or `true`. Needs
    /// `MAIL_OUTBOX`.
    pub requires_verified_email: bool,
    /// `ADMIN_ACCOUNT_ID` and `ADMIN_TOKEN`: the operators. Default: none.
    pub operators: Operators,
    /// `MAIL_OUTBOX`: the outbox of messages to users. Default: none, so no mail is sent.
    pub mail: Option<Outbox>,
    /// `FAILED_SIGN_INS_PER_HOUR` (default: 100), `REGISTRATIONS_PER_HOUR` (default: 60), `MAILS_PER_HOUR` (default: 30), and
    /// `MAILS_PER_DAY` (default: 10). 0 does not limit.
    pub limits: Limits,
    /// `TRUSTED_PROXIES`: the proxies whose forwarding headers count. Default: none.
    pub trusted_proxies: TrustedProxies,
    /// `DATA_MAX_KEYS` (default: 100 000) and `DATA_MAX_BYTES` (default: 256 MiB) for each user.
    pub quota: Quota,
}

/// The operators, who may use the admin routes.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    /// The AWS account whose IAM principals the gateway lets pass.
    pub account_id: Option<String>,
    /// The token of operators elsewhere.
    pub token: Option<AdminToken>,
}

/// How often something may happen. 0 does not limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failed password checks of a network in an hour.
    pub failed_sign_ins: u32,
    /// Registrations of a network in an hour.
    pub registrations: u32,
    /// Requests of a network for a mailed code in an hour.
    pub mails: u32,
    /// Mailed codes of an account in a day.
    pub mails_for_account: u32,
}

/// Enough for the people of an office, who share an address.
const FAILED_SIGN_INS_PER_HOUR: u32 = 100;
/// A class or a workshop of 60 people can register at once.
const REGISTRATIONS_PER_HOUR: u32 = 60;
/// Some people of an office forget their passwords at the same time.
const MAILS_PER_HOUR: u32 = 30;
/// Messages get lost in filters for spam, and more than these are a nuisance.
const MAILS_PER_DAY: u32 = 10;
/// A limit above one in a millisecond is none.
const HIGHEST_PER_HOUR: u32 = 3_600_000;
/// An app that is opened once a month stays signed in.
const IDLE_DAYS: u64 = 30;
/// A stolen device that stays in use is signed out.
const MAX_DAYS: u64 = 180;
/// A client that lost a response retries within this time, also over a bad connection.
const RETRY_SECONDS: u64 = 120;

impl Settings {
    /// Reads the settings from the environment.
    ///
    /// # Errors
    /// A variable has a value out of its range.
    pub fn from_env() -> Result<Self, EnvError> {
        let mail = Outbox::from_env()?;
        let requires_verified_email = env::choice("REQUIRE_VERIFIED_EMAIL", &[("false", false), ("true", true)])?;
        if requires_verified_email && mail.is_none() {
            let advice = "set it to the outbox of messages, because REQUIRE_VERIFIED_EMAIL is true";
            return Err(EnvError::Missing { name: "MAIL_OUTBOX", advice });
        }
        Ok(Self {
            bcrypt_cost: env::integer("BCRYPT_COST", LOWEST_COST, HIGHEST_COST, DEFAULT_COST)?,
            password_policy: PasswordPolicy {
                min_chars: env::integer(
                    "PASSWORD_MIN_LENGTH",
                    PasswordPolicy::LOWEST_MIN_CHARS,
                    PasswordPolicy::HIGHEST_MIN_CHARS,
                    PasswordPolicy::LOWEST_MIN_CHARS,
                )?,
            },
            tokens: TokenPolicy {
                issuer: env::optional("JWT_ISSUER").unwrap_or_else(|| "keyhold".to_owned()),
                audience: env::optional("JWT_AUDIENCE").unwrap_or_else(|| "keyhold".to_owned()),
                lifetime: access_token::LIFETIME,
            },
            sessions: SessionPolicy {
                idle_lifetime: days(env::integer("SESSION_IDLE_DAYS", 1, 365, IDLE_DAYS)?),
                max_lifetime: days(env::integer("SESSION_MAX_DAYS", 1, 3650, MAX_DAYS)?),
                retry_window: Duration::from_secs(env::integer(
                    "REFRESH_RETRY_SECONDS",
                    RACE_WINDOW.as_secs(),
                    600,
                    RETRY_SECONDS,
                )?),
            },
            registration_is_open: env::choice("REGISTRATION", &[("open", true), ("closed", false)])?,
            requires_verified_email,
            operators: Operators {
                account_id: env::optional("ADMIN_ACCOUNT_ID"),
                token: env::secret("ADMIN_TOKEN", AdminToken::new)?,
            },
            mail,
            limits: Limits {
                failed_sign_ins: env::integer(
                    "FAILED_SIGN_INS_PER_HOUR",
                    0,
                    HIGHEST_PER_HOUR,
                    FAILED_SIGN_INS_PER_HOUR,
                )?,
                registrations: env::integer("REGISTRATIONS_PER_HOUR", 0, HIGHEST_PER_HOUR, REGISTRATIONS_PER_HOUR)?,
                mails: env::integer("MAILS_PER_HOUR", 0, HIGHEST_PER_HOUR, MAILS_PER_HOUR)?,
                mails_for_account: env::integer("MAILS_PER_DAY", 0, 1000, MAILS_PER_DAY)?,
            },
            trusted_proxies: env::parsed(
                "TRUSTED_PROXIES",
                "ranges of addresses such as 203.0.113.0/24,2001:db8::/32",
            )?,
            quota: Quota {
                keys: env::integer("DATA_MAX_KEYS", 1, i64::MAX, 100_000)?,
                bytes: env::integer("DATA_MAX_BYTES", 1, i64::MAX, 256 * 1024 * 1024)?,
            },
        })
    }
}

fn days(number: u64) -> Duration {
    Duration::from_hours(24 * number)
}
