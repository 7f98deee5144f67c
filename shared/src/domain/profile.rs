//! Display name, gender, and age of a user.

use std::str::FromStr;

use super::invisible::is_readable;
use super::whole_number;

/// A display name: 1 to 100 characters after trimming, at least one of them visible, and none of them a control or an
/// invisible character, except where it changes its neighbors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullName(String);

/// A name that is empty, too long, or not readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("full_name must be 1 to {} visible characters or spaces", FullName::MAX)]
pub struct InvalidFullName;

impl FullName {
    const MAX: usize = 100;

    /// Returns the trimmed name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FullName {
    type Err = InvalidFullName;

    fn from_str(text: &str) -> Result<Self, InvalidFullName> {
        printable(text, Self::MAX).map(Self).ok_or(InvalidFullName)
    }
}

/// A gender in the user's own words: 1 to 50 characters after trimming, as those of a [`FullName`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gender(String);

/// A gender that is empty, too long, or not readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gender must be 1 to {} visible characters or spaces", Gender::MAX)]
pub struct InvalidGender;

impl Gender {
    const MAX: usize = 50;

    /// Returns the trimmed text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Gender {
    type Err = InvalidGender;

    fn from_str(text: &str) -> Result<Self, InvalidGender> {
        printable(text, Self::MAX).map(Self).ok_or(InvalidGender)
    }
}

fn printable(text: &str, max_chars: usize) -> Option<String> {
    let text = text.trim();
    let length = text.chars().count();
    ((1..=max_chars).contains(&length) && is_readable(text)).then(|| text.to_owned())
}

/// Age in years: a whole number from 1 to 150.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(i16);

/// An age that is not a whole number or out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("age must be a whole number from {} to {}", Age::MIN, Age::MAX)]
pub struct InvalidAge;

impl Age {
    const MIN: i16 = 1;
    const MAX: i16 = 150;

    /// Returns the number of years.
    pub fn years(self) -> i16 {
        self.0
    }
}

impl FromStr for Age {
    type Err = InvalidAge;

    /// Reads a JSON number.
    fn from_str(json: &str) -> Result<Self, InvalidAge> {
        let years = whole_number::parse(json).and_then(|years| years.try_into().ok());
        years.filter(|years| (Self::MIN..=Self::MAX).contains(years)).map(Self).ok_or(InvalidAge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_is_trimmed_and_has_1_to_100_characters_of_any_script() {
        let parse = |text: &str| text.parse::<FullName>().map(|name| name.as_str().to_owned());
        assert_eq!(parse("  Ada Lovelace "), Ok("Ada Lovelace".to_owned()));
        assert!(parse(&"名".repeat(100)).is_ok());
        for text in ["", "   ", "a\0b", "a\nb", "\u{200b}", "\u{202e}Ada", &"名".repeat(101)] {
            assert_eq!(parse(text), Err(InvalidFullName), "{text:?}");
        }
    }

    #[test]
    fn a_gender_is_trimmed_and_has_1_to_50_characters() {
        let parse = |text: &str| text.parse::<Gender>().map(|gender| gender.as_str().to_owned());
        assert_eq!(parse(" non-binary "), Ok("non-binary".to_owned()));
        assert!(parse(&"x".repeat(50)).is_ok());
        for text in ["", " ", "a\tb", "\u{3164}", &"x".repeat(51)] {
            assert_eq!(parse(text), Err(InvalidGender), "{text:?}");
        }
    }

    #[test]
    fn an_age_is_a_whole_number_from_1_to_150() {
        for (json, years) in [("1", 1), ("30.0", 30), ("15e1", 150)] {
            assert_eq!(json.parse().map(Age::years), Ok(years));
        }
        for json in ["0", "-1", "0.5", "0.99999999999999999999", "151", "65537", "1e300", "\"30\"", "null"] {
            assert_eq!(json.parse::<Age>(), Err(InvalidAge), "{json}");
        }
    }
}
