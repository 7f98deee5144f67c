//! The settings of all messages.

use lettre::message::Mailbox;
use minijinja::Environment;
use shared::env::{self, EnvError};

use crate::message;

/// The sender, the brand, the language, and the templates of messages.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `MAIL_FROM`: the sender, as in `Keyhold <no-reply@example.com>`.
    pub(crate) from: Mailbox,
    /// `MAIL_BRAND`: the name of the service in subjects and texts. Default: `Keyhold`.
    pub(crate) brand: String,
    /// `MAIL_LANGUAGE`: the folder of the templates. Default: `en`.
    pub(crate) language: String,
    /// The templates of all languages.
    pub(crate) templates: Environment<'static>,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self, EnvError> {
        const SENDER: &str = "a sender such as Keyhold <no-reply@example.com>";
        let from = env::required("MAIL_FROM", "set it to a sender such as Keyhold <no-reply@example.com>")?;
        let Ok(from) = from.trim().parse() else {
            return Err(EnvError::Invalid { name: "MAIL_FROM", expected: SENDER.to_owned(), given: from });
        };
        let brand = env::optional("MAIL_BRAND").unwrap_or_else(|| "Keyhold".to_owned());
        if brand.chars().any(char::is_control) {
            let expected = "a name without line breaks".to_owned();
            return Err(EnvError::Invalid { name: "MAIL_BRAND", expected, given: brand });
        }
        let language = env::optional("MAIL_LANGUAGE").unwrap_or_else(|| "en".to_owned());
        let templates = message::templates();
        if templates.get_template(&format!("{language}/layout.html")).is_err() {
            let expected = "the name of a folder in functions/mail-send/templates".to_owned();
            return Err(EnvError::Invalid { name: "MAIL_LANGUAGE", expected, given: language });
        }
        Ok(Self { from, brand, language, templates })
    }
}
