use std::convert::Infallible;
use std::str::FromStr;

use zeroize::Zeroizing;

/// A password somebody wants to have: long enough, and not one that is guessed first.
///
/// No rule about kinds of characters: NIST SP 800-63B-4 §3.1.1.2 forbids them. It cannot be printed, and its memory is
/// wiped when it goes.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// A password somebody signs in with. Any text: what it is worth, the stored hash tells.
#[derive(Clone)]
pub struct PasswordAttempt(Zeroizing<String>);

/// What a new password has to be, beyond what every one has to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The least number of characters, 8 or more.
    pub min_chars: usize,
}

/// Why a password cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Fewer characters than the policy asks for.
    #[error("password must be at least {min_chars} characters")]
    TooShort {
        /// The least number.
        min_chars: usize,
    },
    /// More than 1024 bytes.
    #[error("password must be at most {} bytes", Password::MAX_BYTES)]
    TooLong,
    /// One of those that are guessed first.
    #[error("password is one of the most common ones: choose another")]
    Common,
    /// The username or the e-mail address, whatever its case.
    #[error("password must not be the username or the email address")]
    NamesItsOwner,
}

impl PasswordPolicy {
    /// NIST SP 800-63B-4 §3.1.1.2 asks for 8 at least, and so did the original service.
    pub const LOWEST_MIN_CHARS: usize = 8;
    /// Nobody may be kept from choosing a password of 64 characters (ibid.).
    pub const HIGHEST_MIN_CHARS: usize = 64;

    /// A password that may be chosen.
    ///
    /// # Errors
    /// See [`InvalidPassword`].
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
    /// Bytes. NIST asks for at least 64 characters; this is room for 256 of any script and bounds the work of hashing.
    const MAX_BYTES: usize = 1024;

    /// Refuses a password that is one of its owner's names.
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

    /// What a hash is made of.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The passwords of eight and more characters among the 20 000 most common ones, in lower case: the list that Django 5.2
/// ships, 80 KB. NIST SP 800-63B-4 §3.1.1.2 asks for such a list and for no larger one than keeps guessing hopeless.
const COMMON: &str = include_str!("common_passwords.txt");

/// A search from end to end: a tenth of a millisecond, beside a hash that takes a quarter of a second.
fn is_common(text: &str) -> bool {
    let text = Zeroizing::new(text.to_lowercase());
    COMMON.lines().any(|common| common == *text)
}

impl PasswordAttempt {
    /// What a hash is compared with.
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
    fn seven_characters_or_1025_bytes_are_refused() {
        for text in ["", "1234567", "日本語日本語日"] {
            assert_eq!(parse(text), Err(InvalidPassword::TooShort { min_chars: 8 }), "{text:?}");
        }
        assert_eq!(parse(&"x".repeat(1025)), Err(InvalidPassword::TooLong));
        let strict = PasswordPolicy { min_chars: 15 };
        assert!(strict.accept(&"x".repeat(15)).is_ok());
        assert_eq!(strict.accept(&"x".repeat(14)).err(), Some(InvalidPassword::TooShort { min_chars: 15 }));
    }

    #[test]
    fn a_common_password_is_refused_whatever_its_case() {
        for text in ["password", "PassWord", "12345678", "qwertyuiop", "trustno1"] {
            assert_eq!(parse(text), Err(InvalidPassword::Common), "{text:?}");
        }
        assert_eq!(parse("password of mine"), Ok(()));
    }

    #[test]
    fn a_password_is_not_its_owners_name_or_address() -> Result<(), InvalidPassword> {
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
