use std::str::FromStr;

/// A username: 3 to 50 characters of `A–Z a–z 0–9 . _ -`, unique ignoring case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

/// A text that is not a valid username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("username must be {} to {} characters, each one of A-Z a-z 0-9 . _ -", Username::MIN, Username::MAX)]
pub struct InvalidUsername;

impl Username {
    const MIN: usize = 3;
    const MAX: usize = 50;

    /// Returns the name as its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the form in which names are compared. Names are ASCII, so it is the name in lower case.
    pub fn canonical(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl FromStr for Username {
    type Err = InvalidUsername;

    /// Ignores outer white space, which input fields of phones append.
    fn from_str(text: &str) -> Result<Self, InvalidUsername> {
        let text = text.trim();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (Self::MIN..=Self::MAX).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidUsername)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_to_fifty_characters_are_accepted() {
        for text in ["abc", "A.b_c-9", "...", &"x".repeat(50)] {
            assert_eq!(text.parse::<Username>().map(|name| name.as_str().to_owned()).as_deref(), Ok(text));
            assert_eq!(format!(" {text}\n").parse::<Username>(), text.parse());
        }
    }

    #[test]
    fn shorter_longer_and_other_names_are_rejected() {
        for text in ["", "ab", &"x".repeat(51), "a b", "abc\0", "naïve", "a/b", "a@b", "ab\nc", "ＡＢＣ"] {
            assert_eq!(text.parse::<Username>(), Err(InvalidUsername), "{text:?}");
        }
    }

    #[test]
    fn names_that_differ_in_case_share_their_canonical_form() {
        let canonical = |text: &str| text.parse::<Username>().map(|name| name.canonical());
        assert_eq!(canonical("Ada.L"), canonical("aDA.l"));
    }
}
