//! New passwords, the policy for them, and passwords to check.

use std::convert::Infallible;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A new password that the policy accepted, in Unicode normalization form C, so that it can be typed on any keyboard (NIST SP
/// 800-63B-4 §3.1.1.2).
///
/// There are no composition rules, which NIST SP 800-63B-4 §3.1.1.2 forbids. It cannot be printed, and its memory is
/// zeroed on drop.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// A password to check against a stored hash. Any text is allowed.
///
/// It cannot be printed, and its memory is zeroed on drop.
#[derive(Clone)]
pub struct PasswordAttempt {
    normalized: Zeroizing<String>,
    /// The text as it was sent, if it differs. A hash that was imported may be of that.
    as_sent: Option<Zeroizing<String>>,
}

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
    /// It consists of white space.
    #[error("password must not consist of spaces only")]
    Blank,
    /// It is on the list of common passwords.
    #[error("password is one of the most common passwords. Choose another one")]
    Common,
    /// It is a common password or the name of the service, with a few digits or symbols around it.
    #[error("password is a common word with a few characters added. Choose several words, or a longer text")]
    Guessable,
    /// It is the username, the email address, or its part before the @, with a few characters around it.
    #[error("password must not be the username or the email address, or one of them with a few characters added")]
    NamesItsOwner,
}

impl PasswordPolicy {
    /// The minimum of the original service, and of NIST SP 800-63B-4 §3.1.1.2 for a password that is one of two factors. For a
    /// password alone, NIST requires 15.
    pub const LOWEST_MIN_CHARS: usize = 8;
    /// NIST SP 800-63B-4 §3.1.1.2: a password of 64 characters must be allowed.
    pub const HIGHEST_MIN_CHARS: usize = 64;

    /// Checks a new password.
    ///
    /// # Errors
    /// [`InvalidPassword`].
    pub fn accept(self, text: &str) -> Result<Password, InvalidPassword> {
        if text.len() > Password::MAX_BYTES {
            return Err(InvalidPassword::TooLong);
        }
        let password = Zeroizing::new(text.nfc().collect::<String>());
        let compared = Zeroizing::new(compared(&password));
        if password.chars().count() < self.min_chars {
            Err(InvalidPassword::TooShort { min_chars: self.min_chars })
        } else if password.len() > Password::MAX_BYTES {
            Err(InvalidPassword::TooLong)
        } else if compared.is_empty() {
            Err(InvalidPassword::Blank)
        } else if COMMON.lines().any(|common| common == *compared) {
            Err(InvalidPassword::Common)
        } else if is_decorated(&compared) {
            Err(InvalidPassword::Guessable)
        } else {
            Ok(Password(password))
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

    /// Checks that the password is not the username or the email address of its owner, the part before the @, or one of
    /// these with a few characters added.
    ///
    /// # Errors
    /// [`InvalidPassword::NamesItsOwner`].
    pub fn check_owner(&self, username: &str, email: &str) -> Result<(), InvalidPassword> {
        let password = Zeroizing::new(compared(&self.0));
        let local_part = email.rsplit_once('@').map_or(email, |(local_part, _)| local_part);
        if [username, email, local_part].iter().any(|name| surrounds(&password, &compared(name))) {
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

/// Words that an attacker tries because of the service.
const CONTEXT: [&str; 1] = ["keyhold"];
/// Characters around a word that add little: `Summer2026!` is a word and five of them.
const MAX_DECORATION: usize = 6;
/// Characters of the shortest word that is recognized with others around it.
const MIN_WORD: usize = 4;
/// Characters of the shortest name that is.
const MIN_NAME: usize = 3;

/// Returns the form in which passwords are compared with words: without differences of width, case, and outer white space.
fn compared(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase().trim().to_owned()
}

/// Whether a password in compared form is a common password with a few digits or symbols around it, or replaced by similar
/// ones. NIST SP 800-63B-4 §3.1.1.2 advises against rejecting a password for a part of it, so a long rest is accepted. Takes a
/// millisecond, and hashing takes 250.
fn is_decorated(password: &str) -> bool {
    let word = Zeroizing::new(stem(password).to_owned());
    let plain = Zeroizing::new(word.chars().map(letter).collect::<String>());
    let length = word.chars().count();
    if length < MIN_WORD || password.chars().count() - length > MAX_DECORATION {
        return CONTEXT.iter().any(|context| surrounds(password, context));
    }
    let matches = |known: &str| *word == known || *plain == known;
    COMMON.lines().any(|common| matches(common) || matches(stem(common)))
        || CONTEXT.iter().any(|context| surrounds(&plain, context) || surrounds(password, context))
}

/// Returns the part from the first letter to the last one.
fn stem(text: &str) -> &str {
    text.trim_matches(|character: char| !character.is_alphabetic())
}

/// Returns the letter that a digit or symbol often replaces.
fn letter(character: char) -> char {
    match character {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

/// Whether a password is a name with a few characters around it.
fn surrounds(password: &str, name: &str) -> bool {
    let rest = password.chars().count().saturating_sub(name.chars().count());
    name.chars().count() >= MIN_NAME && rest <= MAX_DECORATION && password.contains(name)
}

impl PasswordAttempt {
    /// Returns the texts to compare with a hash: the normalized one, and the one that was sent if it differs.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        [Some(&self.normalized), self.as_sent.as_ref()].into_iter().flatten().map(|text| text.as_bytes())
    }

    /// Returns the normalized text, in which passwords are hashed.
    pub fn normalized(&self) -> &[u8] {
        self.normalized.as_bytes()
    }
}

impl FromStr for PasswordAttempt {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let normalized = Zeroizing::new(text.nfc().collect::<String>());
        let as_sent = (*normalized != text).then(|| Zeroizing::new(text.to_owned()));
        Ok(Self { normalized, as_sent })
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
        for text in ["uaaaaaa2", "        x", "пароль-мой", "😀😀😀😀😀😀😀😀", "with\0nul", &"x".repeat(1024)]
        {
            assert_eq!(parse(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn spaces_alone_are_rejected() {
        for text in ["        ", "\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}\u{3000}"] {
            assert_eq!(parse(text), Err(InvalidPassword::Blank), "{text:?}");
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
    fn a_common_password_is_rejected_in_any_case_and_width() {
        for text in ["password", "PassWord", "12345678", "qwertyuiop", "trustno1", " password ", "ｐａｓｓｗｏｒｄ"]
        {
            assert_eq!(parse(text), Err(InvalidPassword::Common), "{text:?}");
        }
    }

    #[test]
    fn a_common_word_with_a_few_characters_is_rejected_and_a_longer_text_accepted() {
        for text in ["Password123!", "Summer2026!", "keyhold1", "KEYHOLD-2026", "!!P@55w0rd", "K3yhold!", "mykeyhold"] {
            assert_eq!(parse(text), Err(InvalidPassword::Guessable), "{text:?}");
        }
        for text in ["password of mine", "summer in 2026!", "keyhold stores my values", "summer+4821-9033", "tzk4821!x"]
        {
            assert_eq!(parse(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn a_password_that_names_its_owner_is_rejected() -> Result<(), InvalidPassword> {
        let check = |text: &str| {
            PasswordPolicy::default()
                .accept(text)
                .and_then(|password| password.check_owner("Lovelace", "Countess@Example.com"))
        };
        for text in
            ["loveLACE", "lovelace1", "2026-lovelace", "countess@example.COM", "Countess1843", "ｌｏｖｅｌａｃｅ"]
        {
            assert_eq!(check(text), Err(InvalidPassword::NamesItsOwner), "{text}");
        }
        check("lovelace wrote the notes")?;
        check("the-countess-of-1835")
    }

    #[test]
    fn a_password_has_one_form() -> Result<(), InvalidPassword> {
        let password = PasswordPolicy::default().accept("cafe\u{301} au lait")?;
        let Ok(composed) = "caf\u{e9} au lait".parse::<PasswordAttempt>();
        let Ok(decomposed) = "cafe\u{301} au lait".parse::<PasswordAttempt>();
        assert_eq!(composed.texts().collect::<Vec<_>>(), [password.as_bytes()]);
        assert_eq!(decomposed.texts().collect::<Vec<_>>(), [password.as_bytes(), "cafe\u{301} au lait".as_bytes()]);
        assert_eq!(decomposed.normalized(), password.as_bytes());
        Ok(())
    }
}
