//! The rule for secrets that sign access tokens: long enough, and neither published nor regular.

/// Why a secret is rejected. The messages follow the name of the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// The secret has fewer than 256 bits.
    #[error("has fewer than {MIN_SECRET_BYTES} bytes. {ADVICE}")]
    Short,
    /// The secret is published in documentation, or it is too regular.
    #[error("is a well-known example or too regular to be random. {ADVICE}")]
    Guessable,
}

/// RFC 7518 §3.2: the key must be at least as large as the hash output.
const MIN_SECRET_BYTES: usize = 32;
const ADVICE: &str = "Create one with `openssl rand -hex 32`";

/// Secrets of at least 32 bytes that are published in documentation or shipped as defaults, in lower case.
const WELL_KNOWN: [&str; 6] = [
    "a-string-secret-at-least-256-bits-long",
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "your-secret-key-at-least-32-characters-long",
    "this-is-a-very-long-secret-key-for-jwt",
    "0123456789abcdef0123456789abcdef",
];

/// Words of secrets that are meant to be replaced, in lower case and without separators.
const PLACEHOLDERS: [&str; 8] =
    ["changethis", "changeme", "pleasechange", "replacethis", "replaceme", "yoursecret", "supersecret", "mysecret"];

/// Checks that a secret is long and not guessable.
pub(super) fn check(secret: &str) -> Result<(), InvalidSecret> {
    if secret.len() < MIN_SECRET_BYTES {
        Err(InvalidSecret::Short)
    } else if is_guessable(secret) {
        Err(InvalidSecret::Guessable)
    } else {
        Ok(())
    }
}

/// Whether a secret is well-known or too regular. Of 20 million random hexadecimal secrets none had fewer than eight
/// different bytes; `aaaa…` and `12341234…` have.
fn is_guessable(secret: &str) -> bool {
    let mut bytes = secret.as_bytes().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    let lower = secret.to_lowercase();
    let words: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    bytes.len() < 8
        || WELL_KNOWN.contains(&lower.as_str())
        || PLACEHOLDERS.iter().any(|placeholder| words.contains(placeholder))
        || is_prose(secret)
}

/// Whether a secret looks like words: lower-case letters and separators only. A random text in base64 or hexadecimal has
/// capitals or digits.
fn is_prose(secret: &str) -> bool {
    let is_lower_or_separator = |byte: u8| byte.is_ascii_lowercase() || b" -_.".contains(&byte);
    secret.bytes().all(is_lower_or_separator) && secret.bytes().any(|byte| b" -_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_regular_and_well_known_secrets_are_rejected() {
        for text in ["", "secret", "9f8a1c0d5be24f7a8e3b6c1d2f40596"] {
            assert_eq!(check(text), Err(InvalidSecret::Short), "{text:?}");
        }
        for text in [
            &"a".repeat(64),
            &"1234".repeat(10),
            "A-string-secret-at-least-256-bits-long",
            "pleaseChangeThisSecretForANewOne",
            "CHANGE_ME_7f3a9c1e5b2d8046a1c3e5f7",
            "your-secret-1234567890-abcdefghijklmnop",
            "this is the secret of my little service",
        ] {
            assert_eq!(check(text), Err(InvalidSecret::Guessable), "{text:?}");
        }
    }

    #[test]
    fn a_random_secret_of_32_bytes_is_accepted() {
        assert_eq!(check("9f8a1c0d5be24f7a8e3b6c1d2f405968"), Ok(()));
    }
}
