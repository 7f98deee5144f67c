//! The token of operators where requests are not signed for IAM: on a development machine.

use ring::hmac;

use super::jwt_secret::{self, InvalidSecret};

/// The token, of which only a keyed digest is kept. It cannot be printed.
#[derive(Clone)]
pub struct AdminToken(hmac::Tag);

/// The message of the digest.
const MESSAGE: &[u8] = b"operator";

impl AdminToken {
    /// Makes a token, which must be as long and as random as a signing key.
    ///
    /// # Errors
    /// It has fewer than 32 bytes, or it is well-known or regular.
    pub fn new(token: &str) -> Result<Self, InvalidSecret> {
        jwt_secret::check(token)?;
        Ok(Self(hmac::sign(&key(token), MESSAGE)))
    }

    /// Whether a text is the token. The time does not depend on how much of it is right.
    pub fn matches(&self, text: &str) -> bool {
        hmac::verify(&key(text), MESSAGE, self.0.as_ref()).is_ok()
    }
}

fn key(token: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes())
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "9f8a1c0d5be24f7a8e3b6c1d2f405968";

    #[test]
    fn only_the_same_text_matches() {
        let token = AdminToken::new(TOKEN).expect("a token");
        assert!(token.matches(TOKEN));
        for other in [
            "",
            "9f8a1c0d5be24f7a8e3b6c1d2f40596",
            "9F8A1C0D5BE24F7A8E3B6C1D2F405968",
            " 9f8a1c0d5be24f7a8e3b6c1d2f405968",
        ] {
            assert!(!token.matches(other), "{other:?}");
        }
    }

    #[test]
    fn a_short_or_regular_token_is_rejected() {
        for token in ["", "admin", "9f8a1c0d5be24f7a8e3b6c1d2f40596", "0123456789abcdef0123456789abcdef"] {
            assert!(AdminToken::new(token).is_err(), "{token:?}");
        }
    }
}
