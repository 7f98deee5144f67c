use std::convert::Infallible;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::{Email, Username};

/// A password somebody wants to have: long enough, and not one that is guessed first.
///
/// No rule about kinds of characters: NIST SP 800-63B-4 §3.1.1.2 forbids them. It cannot be printed, and its memory is
/// wiped when it goes.
pub struct Password(Zeroizing<String>);

/// A password somebody signs in with. Any text: what it is worth, the stored hash tells.
pub struct PasswordAttempt(Zeroizing<String>);

/// Why a password cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Fewer than 8 characters.
    #[error("password must be at least {} characters", Password::MIN_CHARS)]
    TooShort,
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

impl Password {
    /// Characters. NIST SP 800-63B-4 §3.1.1.2: at least 8 where a second factor exists, and the original service's rule.
    const MIN_CHARS: usize = 8;
    /// Bytes. NIST asks for at least 64 characters; this is room for 256 of any script and bounds the work of hashing.
    const MAX_BYTES: usize = 1024;

    /// Refuses a password that is one of its owner's names.
    ///
    /// # Errors
    /// [`InvalidPassword::NamesItsOwner`].
    pub fn check_owner(&self, username: &Username, email: &Email) -> Result<(), InvalidPassword> {
        let password = self.0.to_lowercase();
        if password == username.canonical() || password == email.canonical() {
            return Err(InvalidPassword::NamesItsOwner);
        }
        Ok(())
    }

    /// What a hash is made of.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for Password {
    type Err = InvalidPassword;

    fn from_str(text: &str) -> Result<Self, InvalidPassword> {
        if text.chars().count() < Self::MIN_CHARS {
            Err(InvalidPassword::TooShort)
        } else if text.len() > Self::MAX_BYTES {
            Err(InvalidPassword::TooLong)
        } else if is_common(text) {
            Err(InvalidPassword::Common)
        } else {
            Ok(Self(Zeroizing::new(text.to_owned())))
        }
    }
}

/// The passwords of eight and more characters among the 20 000 most common ones, in lower case: the list that Django 5.2
/// ships, 80 KB. NIST SP 800-63B-4 §3.1.1.2 asks for such a list and for no larger one than keeps guessing hopeless.
const COMMON: &str = include_str!("common_passwords.txt");

/// A search from end to end: a tenth of a millisecond, beside a hash that takes a quarter of a second.
fn is_common(text: &str) -> bool {
    let text = text.to_lowercase();
    COMMON.lines().any(|common| common == text)
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
        text.parse::<Password>().map(|_| ())
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
            assert_eq!(parse(text), Err(InvalidPassword::TooShort), "{text:?}");
        }
        assert_eq!(parse(&"x".repeat(1025)), Err(InvalidPassword::TooLong));
    }

    #[test]
    fn a_common_password_is_refused_whatever_its_case() {
        for text in ["password", "PassWord", "12345678", "qwertyuiop", "trustno1"] {
            assert_eq!(parse(text), Err(InvalidPassword::Common), "{text:?}");
        }
        assert_eq!(parse("password of mine"), Ok(()));
    }

    #[test]
    fn a_password_is_not_its_owners_name_or_address() -> Result<(), Box<dyn std::error::Error>> {
        let (username, email) = ("Lovelace".parse()?, "Ada@Example.com".parse()?);
        let check = |text: &str| text.parse::<Password>().and_then(|password| password.check_owner(&username, &email));
        assert_eq!(check("loveLACE"), Err(InvalidPassword::NamesItsOwner));
        assert_eq!(check("ada@example.COM"), Err(InvalidPassword::NamesItsOwner));
        assert_eq!(check("lovelace1"), Ok(()));
        Ok(())
    }
}
