use std::str::FromStr;

use email_address::{EmailAddress, Options};

/// An email address: valid according to RFC 5321, with a dotted domain, at most 254 bytes, unique ignoring case.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

/// A text that is not a valid email address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("email must be an address such as name@example.com of at most {} bytes", Email::MAX)]
pub struct InvalidEmail;

impl Email {
    /// Bytes. RFC 5321 §4.5.3.1.3 limits a path to 256 octets, including two angle brackets.
    const MAX: usize = 254;

    /// Returns the address as its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the form in which addresses are compared.
    pub fn canonical(&self) -> String {
        canonical(&self.0)
    }
}

/// Returns the form in which the username or email address that a user types is compared, without outer white space.
pub fn canonical_name(text: &str) -> String {
    canonical(text.trim())
}

fn canonical(address: &str) -> String {
    address.to_lowercase()
}

impl FromStr for Email {
    type Err = InvalidEmail;

    /// Ignores outer white space, which input fields of phones append.
    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        if text.len() > Self::MAX || text.chars().any(char::is_control) {
            return Err(InvalidEmail);
        }
        EmailAddress::parse_with_options(text, options).map_err(|_| InvalidEmail)?;
        Ok(Self(text.to_owned()))
    }
}

/// Hides the address, because logs must not contain personal data.
impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Email, InvalidEmail> {
        text.parse()
    }

    #[test]
    fn ordinary_tagged_and_international_addresses_are_accepted() {
        for text in ["ada@example.com", "a.b+tag@sub.example.co.uk", "o'neil@example.org", "jürgen@exämple.de"] {
            assert_eq!(parse(text).map(|email| email.as_str().to_owned()).as_deref(), Ok(text));
            assert_eq!(parse(&format!("\u{3000}{text}\n")), parse(text));
        }
    }

    #[test]
    fn a_text_that_is_not_an_address_is_rejected() {
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "a b@example.com",
            "Ada <ada@example.com>",
            "a@[127.0.0.1]",
            "a@b\n.c",
            "a\0@example.com",
            "a@b@example.com",
        ] {
            assert_eq!(parse(text), Err(InvalidEmail), "{text:?}");
        }
    }

    #[test]
    fn the_longest_address_has_254_bytes() {
        let of_length = |length: usize| {
            let local = "a".repeat(64);
            let label = "b".repeat(60);
            let tail = length - local.len() - 1 - 3 * (label.len() + 1);
            format!("{local}@{label}.{label}.{label}.{}", "c".repeat(tail))
        };
        assert!(parse(&of_length(250)).is_ok());
        assert!(parse(&format!("{}@{}.com", "a".repeat(64), "b.".repeat(100))).is_err());
        assert_eq!(parse(&of_length(255)), Err(InvalidEmail));
    }

    #[test]
    fn addresses_that_differ_in_case_share_their_canonical_form() {
        let canonical = |text: &str| parse(text).map(|email| email.canonical());
        assert_eq!(canonical("Ada@Example.com"), canonical("ada@example.COM"));
    }

    #[test]
    fn its_debug_form_hides_the_address() {
        assert_eq!(format!("{:?}", parse("ada@example.com")), "Ok(Email(…))");
    }
}
