//! Codes that prove that a user reads the mail of an address.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Digits of a code.
const DIGITS: usize = 8;

/// The secret that a user reads in a message and types: eight digits, two more than the minimum that OWASP ASVS 5.0 demands of
/// such a code (6.5.4). Memory is not cleared of it, because it is worthless after 15 minutes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MailedCode(String);

/// Time for which a code is accepted.
pub const CODE_LIFETIME: Duration = Duration::from_mins(15);
/// Number of wrong codes that a handle accepts. A guess is right with a probability of 1 in 100 million.
pub const MAX_WRONG_TRIES: i16 = 5;

/// A text that is not a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("code must be the {DIGITS} digits of the message")]
pub struct InvalidMailedCode;

impl MailedCode {
    /// Makes a random code.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        // The remainder favors low codes by less than 1 in 10^11.
        Ok(Self(format!("{:08}", getrandom::u64()? % 100_000_000)))
    }

    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MailedCode {
    type Err = InvalidMailedCode;

    /// Ignores white space and hyphens, with which users and mail programs group digits.
    fn from_str(text: &str) -> Result<Self, InvalidMailedCode> {
        let digits: String = text.chars().filter(|character| !character.is_whitespace() && *character != '-').collect();
        let is_code = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then_some(Self(digits)).ok_or(InvalidMailedCode)
    }
}

/// Hides the code, because logs must not contain secrets.
impl fmt::Debug for MailedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailedCode(…)")
    }
}

/// The action that a code allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodePurpose {
    /// Marking the address of the account as verified.
    EmailVerification,
    /// Setting a new password without the current one.
    PasswordReset,
    /// Replacing the address of the account by the one that the code was mailed to.
    EmailChange,
}

impl CodePurpose {
    /// Returns the name in the database and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmailVerification => "email_verification",
            Self::PasswordReset => "password_reset",
            Self::EmailChange => "email_change",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_eight_digits_however_they_are_grouped() {
        for text in ["01234567", " 0123 4567\n", "0123-4567", "01\u{a0}23\u{2009}45 67"] {
            assert_eq!(text.parse(), Ok(MailedCode("01234567".to_owned())), "{text:?}");
        }
        for text in ["", "1234567", "123456789", "1234567a", "+1234567", "١٢٣٤٥٦٧٨", "12345678\0"] {
            assert_eq!(text.parse::<MailedCode>(), Err(InvalidMailedCode), "{text:?}");
        }
    }

    #[test]
    fn random_codes_have_eight_digits_and_differ() {
        let codes: Vec<MailedCode> = (0..100).map(|_| MailedCode::random().expect("randomness")).collect();
        assert!(codes.iter().all(|code| code.as_str().parse() == Ok(code.clone())));
        assert!(codes.iter().any(|code| *code != codes[0]));
    }
}
