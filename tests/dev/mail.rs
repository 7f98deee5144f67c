//! The mail of the service. Functions put messages into an outbox, a folder, and `mail-send` writes each as a file, or sends it to
//! `SMTP_URL`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ::tests::{
    Error,
    binaries::Binaries,
    process::{Guard, spawn_into},
    relative,
};

use crate::{
    output::Output,
    screen::{Color, Screen},
};

/// The pause after a message could not be sent.
const PAUSE: Duration = Duration::from_secs(10);

pub struct Mail {
    guard: Guard,
    binary: PathBuf,
    outbox: PathBuf,
    /// The folder of sent messages.
    sent: PathBuf,
    paused_until: Option<Instant>,
}

impl Mail {
    /// Creates the folders in `folder`, and empties them if `fresh`.
    pub fn new(guard: &Guard, binaries: &Binaries, folder: &Path, fresh: bool) -> Result<Self, Error> {
        let [outbox, sent] = ["outbox", "mail"].map(|name| folder.join(name));
        for folder in [&outbox, &sent] {
            if fresh {
                let _ = fs::remove_dir_all(folder);
            }
            fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
        }
        let binary = binaries.path("mail-send");
        Ok(Self { guard: guard.clone(), binary, outbox, sent, paused_until: None })
    }

    /// The value of `MAIL_OUTBOX`.
    pub fn outbox(&self) -> String {
        self.outbox.display().to_string()
    }

    /// The folder of sent messages, to show.
    pub fn shown_folder(&self) -> String {
        relative(&self.sent).display().to_string()
    }

    /// Sends the messages in the outbox, and prints a line for each.
    pub fn send(&mut self, screen: &Screen, output: &Output) {
        if self.paused_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let entries = fs::read_dir(&self.outbox).into_iter().flatten().flatten().map(|entry| entry.path());
        let texts: Vec<String> = entries
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter(|path| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")))
            .filter_map(|path| fs::read_to_string(path).ok())
            .collect();
        if texts.is_empty() {
            return;
        }
        let sent = output.collect(
            |_| {},
            |output| {
                let mut command = self.guard.command(&self.binary);
                command
                    .env("MAIL_OUTBOX", &self.outbox)
                    .env("MAIL_FOLDER", &self.sent)
                    .env(
                        "MAIL_FROM",
                        env::var("MAIL_FROM").unwrap_or_else(|_| "Keyhold <no-reply@keyhold.example>".to_owned()),
                    )
                    // Its absence tells the function that it does not run in Lambda.
                    .env_remove("AWS_LAMBDA_RUNTIME_API");
                let ended = spawn_into(command, output).and_then(|mut running| running.wait());
                ended.map_err(|error| Error::start("mail-send", error))
            },
        );
        if !sent.is_ok_and(|status| status.success()) {
            self.paused_until = Some(Instant::now() + PAUSE);
            screen.print(&screen.paint(Color::Red, "A message could not be sent. The log has the reason."));
            return;
        }
        for text in texts {
            if let Some(line) = line(&text) {
                screen.print(&line);
            }
        }
    }
}

/// The line for an entry of the outbox, which is JSON without white space; none for an entry without a message.
fn line(text: &str) -> Option<String> {
    let member = |name: &str| {
        let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
        rest.split('"').next()
    };
    let (to, kind) = (member("to")?, member("kind")?);
    let code = member("code").map(|code| format!(", code {code}")).unwrap_or_default();
    Some(format!("mail  {kind} to {to}{code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_kind_the_address_and_the_code() {
        let text =
            r#"{"to":"ada@example.com","username":"ada","kind":"password_reset","code":"01234567","expires_at":1}"#;
        assert_eq!(line(text).as_deref(), Some("mail  password_reset to ada@example.com, code 01234567"));
        let text = r#"{"to":"ada@example.com","username":"ada","kind":"password_changed","changed_at":1}"#;
        assert_eq!(line(text).as_deref(), Some("mail  password_changed to ada@example.com"));
        assert_eq!(line("null"), None);
    }
}
