//! The email of a message: its templates, and its form by RFC 5322.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message as Email};
use minijinja::{Environment, UndefinedBehavior, context};
use shared::domain;
use shared::mail::{Content, Message};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::delivery::DeliveryError;
use crate::settings::Settings;

/// Makes the email of an entry of the outbox.
///
/// The user's own words are in the bodies only, never in a header.
///
/// # Errors
/// The address is not valid.
pub(crate) fn email(
    message: &Message,
    entry: &str,
    settings: &Settings,
    now: SystemTime,
) -> Result<Email, DeliveryError> {
    let failed = |error: &dyn std::fmt::Display| DeliveryError::Failed(error.to_string().into());
    let to = address(&message.to)?;
    let (text, html) = render(message, settings).map_err(|error| failed(&format!("{error:#}")))?;
    let (subject, text) = text
        .strip_prefix("Subject: ")
        .and_then(|text| text.split_once("\n\n"))
        .ok_or_else(|| failed(&"the text of a template begins with `Subject: ` and an empty line"))?;
    // The same for each attempt, so that mail programs recognize a repetition.
    let id = format!("<{}@{}>", entry.trim_end_matches(".json"), settings.from.email.domain());
    Email::builder()
        .from(settings.from.clone())
        .to(Mailbox::new(None, to))
        .subject(subject)
        .date(now)
        .message_id(Some(id))
        // No automatic replies (RFC 3834 §5).
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .multipart(MultiPart::alternative_plain_html(text.to_owned(), html))
        .map_err(|error| failed(&error))
}

/// Loads the templates. In `.html` every value is escaped, and a missing value is an error.
pub(crate) fn templates() -> Environment<'static> {
    let mut templates = Environment::new();
    minijinja_embed::load_templates!(&mut templates);
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates
}

/// Returns the address for the mail server, whose domain is in A-labels.
fn address(text: &str) -> Result<Address, DeliveryError> {
    let undeliverable = |error: domain::InvalidEmail| DeliveryError::Undeliverable(error.to_string());
    let email: domain::Email = text.parse().map_err(undeliverable)?;
    let (local, domain) = email.mailbox();
    // The parser of lettre rejects some of the addresses that RFC 6531 allows.
    Ok(Address::new_dangerous(local, domain))
}

/// Renders the text and the HTML body.
fn render(message: &Message, settings: &Settings) -> Result<(String, String), minijinja::Error> {
    let Settings { brand, language, templates, .. } = settings;
    let (kind, username) = (message.content.kind(), &message.username);
    let (code, time) = match &message.content {
        Content::EmailVerification { code, expires_at }
        | Content::PasswordReset { code, expires_at }
        | Content::EmailChange { code, expires_at } => (Some(code.as_str()), *expires_at),
        Content::PasswordChanged { changed_at } | Content::EmailChanged { changed_at } => (None, *changed_at),
    };
    let time = shown_time(time);
    let text = templates.get_template(&format!("{language}/{kind}.txt"))?.render(context! {
        username => isolated(username), brand, code, time => &time, language,
    })?;
    let html = templates
        .get_template(&format!("{language}/{kind}.html"))?
        .render(context! { username, brand, code, time, language })?;
    Ok((text, html))
}

/// Isolates a text that may be written from right to left from the text around it (Unicode Standard Annex 9, X5c and X6a). HTML
/// has `<bdi>` for that.
fn isolated(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { format!("\u{2068}{text}\u{2069}") }
}

/// Formats a time in seconds since 1970, as in `2026-11-28 09:30 UTC`.
fn shown_time(seconds: u64) -> String {
    let time = OffsetDateTime::from(UNIX_EPOCH + Duration::from_secs(seconds));
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    time.format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    const CHANGED: Content = Content::PasswordChanged { changed_at: 1_795_858_200 };

    fn settings() -> Settings {
        Settings {
            from: "Keyhold <no-reply@example.com>".parse().expect("a sender"),
            brand: "Keyhold".to_owned(),
            language: "en".to_owned(),
            templates: templates(),
        }
    }

    fn message(to: &str, username: &str, content: Content) -> Message {
        Message { to: to.to_owned(), username: username.to_owned(), content }
    }

    #[test]
    fn each_message_has_a_subject_a_text_and_html() -> Result<(), Box<dyn Error>> {
        let code = || "01234567".parse().expect("a code");
        let expires_at = 1_795_858_200;
        for content in [
            Content::EmailVerification { code: code(), expires_at },
            Content::PasswordReset { code: code(), expires_at },
            Content::EmailChange { code: code(), expires_at },
            CHANGED,
            Content::EmailChanged { changed_at: expires_at },
        ] {
            let kind = content.kind();
            let has_code = content.has_expired(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX)));
            let (text, html) = render(&message("ada@example.com", "ada", content), &settings())?;
            assert!(text.starts_with("Subject: Keyhold: "), "{kind}: {text}");
            for body in [&text, &html] {
                assert!(body.contains("ada") && body.contains("2026-11-28 09:30 UTC"), "{kind}: {body}");
                assert_eq!(body.contains("01234567"), has_code, "{kind}: {body}");
            }
            assert!(text.lines().all(|line| line.chars().count() <= 78), "{kind}: {text}");
        }
        Ok(())
    }

    #[test]
    fn words_of_users_are_escaped_and_isolated() -> Result<(), Box<dyn Error>> {
        let name = "<a href='https://example.org'>\u{5d0}\u{5d1}";
        let (text, html) = render(&message("ada@example.com", name, CHANGED), &settings())?;
        assert!(text.contains(&format!("\u{2068}{name}\u{2069}")), "{text}");
        assert!(
            html.contains("<bdi>&lt;a href=&#x27;https:&#x2f;&#x2f;example.org&#x27;&gt;\u{5d0}\u{5d1}</bdi>"),
            "{html}"
        );
        Ok(())
    }

    #[test]
    fn an_email_has_the_headers_of_an_automatic_message() {
        let email =
            email(&message("zoë@exämple.de", "ada\r\nBcc: x@example.org", CHANGED), "7.json", &settings(), UNIX_EPOCH);
        let text = String::from_utf8(email.expect("an email").formatted()).expect("UTF-8");
        let (headers, _) = text.split_once("\r\n\r\n").expect("headers and bodies");
        for header in [
            "From: Keyhold <no-reply@example.com>",
            "To: zoë@xn--exmple-cua.de",
            "Subject: Keyhold: your password was changed",
            "Message-ID: <7@example.com>",
            "Auto-Submitted: auto-generated",
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
        ] {
            assert!(headers.lines().any(|line| line == header), "{header} in\n{headers}");
        }
        assert!(!headers.contains("Bcc"), "{headers}");
    }

    #[test]
    fn an_address_that_is_not_one_is_undeliverable() {
        let sent =
            email(&message("ada@example.com\r\nBcc: x@example.org", "ada", CHANGED), "7.json", &settings(), UNIX_EPOCH);
        assert!(matches!(sent, Err(DeliveryError::Undeliverable(_))));
    }
}
