use std::str::FromStr;

use serde::Serialize;

/// The key of a value, compared byte by byte: 1 to 255 characters and at most 900 bytes of UTF-8.
///
/// `/` separates segments. A segment must not be empty, `.`, or `..`, because HTTP clients and gateways remove those
/// from a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Key(String);

/// The reason why a text is not a valid key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It is empty, or has more than 255 characters or 900 bytes.
    #[error("key must be 1 to {} characters and at most {} bytes of UTF-8", Key::MAX_CHARS, Key::MAX_BYTES)]
    Length,
    /// It contains a control character.
    #[error("key must not contain control characters")]
    ControlCharacter,
    /// It has a segment that clients or gateways remove.
    #[error("key must not contain an empty segment, `.`, or `..` between slashes")]
    Segment,
    /// Its percent-encoding is incomplete or does not decode to UTF-8.
    #[error("key must be percent-encoded UTF-8 in the path")]
    Encoding,
    /// The gateway has cut or changed it.
    #[error("the gateway has delivered a part of the key only. Send it in the body of POST /api/data/batch")]
    Disputed,
}

impl Key {
    const MAX_CHARS: usize = 255;
    /// Together with a user id it stays below 1 KiB, the limit of Aurora DSQL for a primary key.
    pub(super) const MAX_BYTES: usize = 900;

    /// Returns the key as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Wraps a stored key without checks, because an imported key may break today's rules.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        if text.is_empty() || text.len() > Self::MAX_BYTES || text.chars().count() > Self::MAX_CHARS {
            Err(InvalidKey::Length)
        } else if text.chars().any(char::is_control) {
            Err(InvalidKey::ControlCharacter)
        } else if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            Err(InvalidKey::Segment)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, InvalidKey> {
        text.parse::<Key>().map(|key| key.as_str().to_owned())
    }

    #[test]
    fn printable_text_of_any_script_is_kept_unchanged() {
        for text in [
            "a",
            "settings/theme",
            "a b",
            "100%",
            "%2F",
            "a_b\\c'd\"",
            "…",
            "naïve",
            "日本語",
            "😀/👩‍👩‍👧",
            "𝔘",
            "..a",
            "a..",
            "...",
            "a/.b",
        ] {
            assert_eq!(parse(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn the_longest_key_has_255_characters_and_900_bytes() {
        assert!(parse(&"k".repeat(255)).is_ok());
        assert_eq!(parse(&"k".repeat(256)), Err(InvalidKey::Length));
        assert!(parse(&"😀".repeat(225)).is_ok());
        assert_eq!(parse(&"😀".repeat(226)), Err(InvalidKey::Length));
        assert_eq!(parse(""), Err(InvalidKey::Length));
    }

    #[test]
    fn control_characters_are_rejected() {
        for text in ["a\0", "a\nb", "\u{7f}", "\u{85}", "\u{9f}", "\t"] {
            assert_eq!(parse(text), Err(InvalidKey::ControlCharacter), "{text:?}");
        }
    }

    #[test]
    fn segments_that_clients_remove_are_rejected() {
        for text in ["/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/."] {
            assert_eq!(parse(text), Err(InvalidKey::Segment), "{text:?}");
        }
    }
}
