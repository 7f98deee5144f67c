//! The parameters of a list: key prefix and page size.

use std::num::ParseIntError;
use std::str::FromStr;

use super::{Key, Operation};

/// A key prefix, compared byte by byte. The empty prefix matches all keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPrefix(String);

/// A text that cannot be the start of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prefix must be at most {} bytes, without control characters", Key::MAX_BYTES)]
pub struct InvalidPrefix;

impl KeyPrefix {
    /// Returns the prefix as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first text, in byte order, after all texts with this prefix, or `None` if there is none.
    pub fn end(&self) -> Option<String> {
        let mut characters: Vec<char> = self.0.chars().collect();
        while let Some(last) = characters.pop() {
            // The byte order of UTF-8 is the order of its code points.
            if let Some(next) = (last..=char::MAX).nth(1) {
                characters.push(next);
                return Some(characters.into_iter().collect());
            }
        }
        None
    }
}

impl FromStr for KeyPrefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        if text.len() > Key::MAX_BYTES || text.chars().any(char::is_control) {
            return Err(InvalidPrefix);
        }
        Ok(Self(text.to_owned()))
    }
}

/// The maximum number of items on a page: 1 to 1000, default 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(i64);

/// A limit that is not a whole number or out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit must be a whole number from 1 to {}", Limit::MAX)]
pub struct InvalidLimit;

impl Limit {
    const MAX: i64 = 1000;
    /// The highest limit.
    pub const HIGHEST: Self = Self(Self::MAX);
    /// The maximum number of operations in a batch.
    pub const BATCH: Self = Self(Operation::MAX_IN_BATCH as i64);

    /// Returns the number.
    pub fn number(self) -> i64 {
        self.0
    }

    /// Returns the lower of both limits.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        // The parser of the standard library accepts `+1`.
        let number: Result<i64, ParseIntError> = text.parse();
        match number {
            Ok(number)
                if text.starts_with(|first: char| first.is_ascii_digit()) && (1..=Self::MAX).contains(&number) =>
            {
                Ok(Self(number))
            }
            _ => Err(InvalidLimit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text_after_its_keys() -> Outcome {
        let end = |text: &str| text.parse::<KeyPrefix>().map(|prefix| prefix.end());
        assert_eq!(end("")?, None);
        assert_eq!(end("a")?.as_deref(), Some("b"));
        assert_eq!(end("a/%_\\")?.as_deref(), Some("a/%_]"));
        assert_eq!(end("~")?.as_deref(), Some("\u{7f}"));
        assert_eq!(end("\u{d7ff}")?.as_deref(), Some("\u{e000}"));
        assert_eq!(end("a\u{10ffff}\u{10ffff}")?.as_deref(), Some("b"));
        assert_eq!(end("\u{10ffff}")?, None);
        Ok(())
    }

    #[test]
    fn a_prefix_is_any_text_that_a_key_can_start_with() {
        for text in ["", "/", "a/", "..", "%", "😀"] {
            assert!(text.parse::<KeyPrefix>().is_ok(), "{text:?}");
        }
        for text in ["\0", "a\n", &"k".repeat(901)] {
            assert_eq!(text.parse::<KeyPrefix>(), Err(InvalidPrefix), "{text:?}");
        }
    }

    #[test]
    fn a_limit_is_a_whole_number_from_1_to_1000() {
        for (text, number) in [("1", 1), ("100", 100), ("1000", 1000), ("007", 7)] {
            assert_eq!(text.parse::<Limit>().map(Limit::number), Ok(number));
        }
        for text in ["", "0", "-1", "+1", "1001", "99999999999999999999", "1.0", "1e2", " 1", "ten", "١"] {
            assert_eq!(text.parse::<Limit>(), Err(InvalidLimit), "{text:?}");
        }
    }
}
