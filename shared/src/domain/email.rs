use std::str::FromStr;

use email_address::{EmailAddress, Options};
use icu_casemap::CaseMapper;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use super::invisible::has_only_visible;

/// An email address, at most 254 bytes: valid according to RFC 5321 and, outside of ASCII, RFC 6531, with a dotted domain.
/// Unique, ignoring case, Unicode normalization, and the form of the domain.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

/// A text that is not a valid email address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// It is not an address, or too long.
    #[error("email must be an address such as name@example.com of at most {} bytes", Email::MAX)]
    Malformed,
    /// The domain cannot exist.
    #[error("email must end with a domain such as example.com: letters, digits, and hyphens between dots")]
    Domain,
    /// It contains a character that readers do not see.
    #[error("email must not contain invisible characters. Type the address instead of pasting it")]
    Invisible,
}

impl Email {
    /// Bytes. RFC 5321 §4.5.3.1.3 limits a path to 256 octets, including two angle brackets.
    const MAX: usize = 254;
    /// Bytes of the part before the `@` (RFC 5321 §4.5.3.1.1).
    const MAX_LOCAL: usize = 64;

    /// Returns the address as its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the parts for a mail server: the local part as its owner wrote it, and the domain in A-labels (RFC 5890 §2.3.2.1).
    pub fn mailbox(&self) -> (&str, String) {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or_default();
        (local, a_labels(domain).unwrap_or_default())
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

/// Folds the case of a username. Of an address, folds the case of the local part in NFC (Unicode §3.13, D145) and converts the
/// domain to its A-labels (UTS 46).
fn canonical(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let Some((local, domain)) = name.rsplit_once('@') else {
        return name.to_lowercase();
    };
    let folded = |text: &str| -> String {
        let decomposed: String = text.nfd().collect();
        CaseMapper::new().fold_string(&decomposed).nfc().collect()
    };
    // A domain that cannot exist is kept but for the case of ASCII. Another folding of it, such as `ss` for `ß`, could exist.
    format!("{}@{}", folded(local), a_labels(domain).unwrap_or_else(|| domain.to_ascii_lowercase()))
}

/// Returns the form of a domain that DNS has; none for one that cannot exist. A top-level domain is not a number (RFC 3696 §2).
fn a_labels(domain: &str) -> Option<String> {
    let labels =
        Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify);
    let labels = labels.ok()?.into_owned();
    let (_, top) = labels.rsplit_once('.')?;
    (!top.bytes().all(|byte| byte.is_ascii_digit())).then_some(labels)
}

impl FromStr for Email {
    type Err = InvalidEmail;

    /// Ignores outer white space, which input fields of phones append.
    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail::Malformed)?;
        if text.len() > Self::MAX || local.len() > Self::MAX_LOCAL || text.chars().any(char::is_control) {
            return Err(InvalidEmail::Malformed);
        }
        if !has_only_visible(text) {
            return Err(InvalidEmail::Invisible);
        }
        let domain = a_labels(domain).ok_or(InvalidEmail::Domain)?;
        // RFC 6531 §3.3 allows each character outside of ASCII where ASCII letters are allowed. The parser does not know them.
        let local: String =
            local.chars().map(|character| if is_letter_like(character) { 'x' } else { character }).collect();
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        EmailAddress::parse_with_options(&format!("{local}@{domain}"), options).map_err(|_| InvalidEmail::Malformed)?;
        Ok(Self(text.to_owned()))
    }
}

/// Whether a character of the local part is treated like a letter: outside of ASCII, and not white space.
fn is_letter_like(character: char) -> bool {
    !character.is_ascii() && !character.is_whitespace()
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
        for text in [
            "ada@example.com",
            "a.b+tag@sub.example.co.uk",
            "o'neil@example.org",
            "\"ada lovelace\"@example.com",
            "a@xn--exmple-cua.de",
            "a@r3---x.example.com",
            "jürgen@exämple.de",
            "ju\u{308}rgen@exa\u{308}mple.de",
            "用户@例子.公司",
            "क\u{94d}षमा@उदाहरण.भारत",
            "தமிழ்@உதாரணம்.இந்தியா",
            "ශ\u{dca}\u{200d}රී@ශ\u{dca}\u{200d}රී.ලංකා",
            "δοκιμή@παράδειγμα.ελ",
            "مثال@مثال.مصر",
            "😀@example.com",
        ] {
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
            "a b@example.com",
            "a\u{3000}b@example.com",
            "ä b@example.com",
            "Ada <ada@example.com>",
            "a@b\n.c",
            "a\0@example.com",
            "a@b@example.com",
            ".a@example.com",
            "a..b@example.com",
        ] {
            assert!(matches!(parse(text), Err(InvalidEmail::Malformed | InvalidEmail::Domain)), "{text:?}");
        }
    }

    #[test]
    fn the_canonical_form_is_its_own() {
        // With `ß` the label is too long for DNS, and with `ss` it is not.
        let long = format!("\u{dc1}{}\u{df}{}.com", "h".repeat(28), "h".repeat(24));
        for name in
            ["Ada", "ZO\u{cb}@EX\u{c4}MPLE.de", "a@stra\u{df}e.de", &format!("a@{long}"), "\u{e9}@LOCALHOST", "\u{e9}@"]
        {
            let canonical = canonical_name(name);
            assert_eq!(canonical_name(&canonical), canonical, "{name}");
        }
        assert_eq!(canonical_name("\u{c9}@LOCALHOST"), "\u{e9}@localhost");
    }

    #[test]
    fn a_domain_that_cannot_exist_is_rejected() {
        for domain in [
            "",
            "localhost",
            "[127.0.0.1]",
            "127.0.0.1",
            "example.1",
            "1.0/0.0",
            "b$c.com",
            "b_c.com",
            "b.com?x=y",
            "b.com.",
            ".com",
            "a..com",
            "-a.com",
            "a-.com",
            "xn--a.com",
            "a b.com",
            "ex\u{338}.\u{301}com",
            &format!("{}.com", "b".repeat(64)),
        ] {
            assert_eq!(parse(&format!("a@{domain}")), Err(InvalidEmail::Domain), "{domain:?}");
        }
    }

    #[test]
    fn invisible_characters_are_rejected() {
        for text in [
            "a\u{200b}da@example.com",
            "a\u{ad}@example.com",
            "ada@exam\u{ad}ple.com",
            "\u{202e}ada@example.com",
            "a\u{200d}b@example.com",
        ] {
            assert_eq!(parse(text), Err(InvalidEmail::Invisible), "{text:?}");
        }
    }

    #[test]
    fn the_longest_address_has_254_bytes_of_which_64_are_before_the_at_sign() {
        let of_length = |length: usize| {
            let local = "a".repeat(64);
            let label = "b".repeat(60);
            let tail = length - local.len() - 1 - 3 * (label.len() + 1);
            format!("{local}@{label}.{label}.{label}.{}", "c".repeat(tail / 2) + "." + &"c".repeat(tail - tail / 2 - 1))
        };
        assert!(parse(&of_length(254)).is_ok());
        assert_eq!(parse(&of_length(255)), Err(InvalidEmail::Malformed));
        assert!(parse(&format!("{}@example.com", "ä".repeat(32))).is_ok());
        assert_eq!(parse(&format!("{}@example.com", "ä".repeat(33))), Err(InvalidEmail::Malformed));
    }

    #[test]
    fn equal_addresses_share_their_canonical_form() {
        let canonical = |text: &str| parse(text).map(|email| email.canonical());
        for (one, other) in [
            ("Ada@Example.com", "ada@example.COM"),
            ("ΣΟΦΟΣ@example.com", "σοφος@example.com"),
            ("σοφοΣ@example.com", "σοφος@example.com"),
            ("ju\u{308}rgen@example.com", "JÜRGEN@example.com"),
            ("ada@EXÄMPLE.de", "ada@xn--exmple-cua.de"),
            ("ada@exa\u{308}mple.de", "ada@exämple.de"),
            ("ä@例子。公司", "ä@例子.公司"),
        ] {
            assert_eq!(canonical(one), canonical(other), "{one} {other}");
            assert_eq!(canonical(one), Ok(canonical_name(&format!(" {other} "))), "{one} {other}");
        }
        for (one, other) in
            [("ada@example.com", "ada@example.org"), ("a@straße.de", "a@strasse.de"), ("ada@a.com", "àda@a.com")]
        {
            assert_ne!(canonical(one), canonical(other), "{one} {other}");
        }
    }

    #[test]
    fn a_text_that_is_not_an_address_has_a_canonical_form_too() {
        for (text, form) in [("Ada", "ada"), ("ÄDA", "äda"), ("Ä@", "ä@"), ("Ä@b$c", "ä@b$c"), ("", "")] {
            assert_eq!(canonical_name(text), form);
        }
    }

    #[test]
    fn its_debug_form_hides_the_address() {
        assert_eq!(format!("{:?}", parse("ada@example.com")), "Ok(Email(…))");
    }
}
