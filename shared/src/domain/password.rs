//! New passwords, the policy for them, and passwords to check.

use std::convert::Infallible;
use std::str::FromStr;

use zeroize::Zeroizing;

/// A new password that the policy accepted.
///
/// There are no composition rules, which NIST SP 800-63B-4 §3.1.1.2 forbids. It cannot be printed, and its memory is
/// zeroed on drop.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// A password to check against a stored hash. Any text is allowed.
///
/// It cannot be printed, and its memory is zeroed on drop.
#[derive(Clone)]
pub struct PasswordAttempt(Zeroizing<String>);

/// The configurable rules for new passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Minimum number of characters, 8 to 64.
    pub min_chars: usize,
}

/// The reason why a new password is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// It has fewer characters than the policy requires.
    #[error("password must be at least {min_chars} characters")]
    TooShort {
        /// The required number.
        min_chars: usize,
    },
    /// It has more than 1024 bytes.
    #[error("password must be at most {} bytes", Password::MAX_BYTES)]
    TooLong,
    /// It is on the list of common passwords.
    #[error("password is one of the most common passwords. Choose another one")]
    Common,
    /// It equals the username or the email address, ignoring case.
    #[error("password must not be the username or the email address")]
    NamesItsOwner,
}

impl PasswordPolicy {
    /// The minimum of NIST SP 800-63B-4 §3.1.1.2 and of the original service.
    pub const LOWEST_MIN_CHARS: usize = 8;
    /// NIST SP 800-63B-4 §3.1.1.2: a password of 64 characters must be allowed.
    pub const HIGHEST_MIN_CHARS: usize = 64;

    /// Checks a new password.
    ///
    /// # Errors
    /// [`InvalidPassword`].
    pub fn accept(self, text: &str) -> Result<Password, InvalidPassword> {
        if text.chars().count() < self.min_chars {
            Err(InvalidPassword::TooShort { min_chars: self.min_chars })
        } else if text.len() > Password::MAX_BYTES {
            Err(InvalidPassword::TooLong)
        } else if is_common(text) {
            Err(InvalidPassword::Common)
        } else {
            Ok(Password(Zeroizing::new(text.to_owned())))
        }
    }
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_chars: Self::LOWEST_MIN_CHARS }
    }
}

impl Password {
    /// Maximum bytes: enough for 256 characters of any script, where NIST requires at least 64. Limits the work of
    /// hashing.
    const MAX_BYTES: usize = 1024;

    /// Checks that the password is not the username or the email address of its owner.
    ///
    /// # Errors
    /// [`InvalidPassword::NamesItsOwner`].
    pub fn check_owner(&self, username: &str, email: &str) -> Result<(), InvalidPassword> {
        let password = Zeroizing::new(self.0.to_lowercase());
        if [username, email].iter().any(|name| *password == name.to_lowercase()) {
            return Err(InvalidPassword::NamesItsOwner);
        }
        Ok(())
    }

    /// Returns the bytes to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Common passwords of at least eight characters, in lower case: 80 KB of the list of 20 000 in Django 5.2. NIST SP
/// 800-63B-4 §3.1.1.2 requires such a list.
const COMMON: &str = include_str!("common_passwords.txt");

/// Searches the list from start to end. That takes 0.1 ms, and hashing takes 250 ms.
fn is_common(text: &str) -> bool {
    let text = Zeroizing::new(text.to_lowercase());
    COMMON.lines().any(|common| common == *text)
}

impl PasswordAttempt {
    /// Returns the bytes to compare with a hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for PasswordAttempt {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(), InvalidPassword> {
        PasswordPolicy::default().accept(text).map(|_| ())
    }

    #[test]
    fn eight_characters_of_any_kind_are_enough() {
        for text in ["aaaaaaa2", "        ", "пароль12", "😀😀😀😀😀😀😀😀", "with\0nul", &"x".repeat(1024)]
        {
            assert_eq!(parse(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn seven_characters_or_1025_bytes_are_rejected() {
        for text in ["", "1234567", "日本語日本語日"] {
            assert_eq!(parse(text), Err(InvalidPassword::TooShort { min_chars: 8 }), "{text:?}");
        }
        assert_eq!(parse(&"x".repeat(1025)), Err(InvalidPassword::TooLong));
        let strict = PasswordPolicy { min_chars: 15 };
        assert!(strict.accept(&"x".repeat(15)).is_ok());
        assert_eq!(strict.accept(&"x".repeat(14)).err(), Some(InvalidPassword::TooShort { min_chars: 15 }));
    }

    #[test]
    fn a_common_password_is_rejected_in_any_case() {
        for text in ["password", "PassWord", "12345678", "qwertyuiop", "trustno1"] {
            assert_eq!(parse(text), Err(InvalidPassword::Common), "{text:?}");
        }
        assert_eq!(parse("password of mine"), Ok(()));
    }

    #[test]
    fn a_password_that_names_its_owner_is_rejected() -> Result<(), InvalidPassword> {
        let check = |text: &str| {
            PasswordPolicy::default()
                .accept(text)
                .and_then(|password| password.check_owner("Lovelace", "Ada@Example.com"))
        };
        assert_eq!(check("loveLACE"), Err(InvalidPassword::NamesItsOwner));
        assert_eq!(check("ada@example.COM"), Err(InvalidPassword::NamesItsOwner));
        check("lovelace1")
    }
}
