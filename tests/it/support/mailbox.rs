//! The outbox of a test: a folder that the functions write to and the test reads.

use std::fs;
use std::path::PathBuf;

use shared::mail::{Message, Outbox};
use shared::settings::Settings;
use uuid::Uuid;

use super::{Response, settings};

/// An outbox. Dropping it removes its folder.
pub struct Mailbox(PathBuf);

impl Default for Mailbox {
    fn default() -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("outbox-{}", Uuid::now_v7()));
        fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }
}

impl Mailbox {
    /// The default settings with this outbox.
    pub fn settings(&self) -> Settings {
        Settings { mail: Some(self.outbox()), ..settings() }
    }

    /// The outbox.
    pub fn outbox(&self) -> Outbox {
        Outbox::Folder(self.0.clone().into())
    }

    /// The folder.
    pub fn folder(&self) -> &PathBuf {
        &self.0
    }

    /// The number of entries, with and without a message.
    pub fn entries(&self) -> usize {
        self.outbox().list().expect("a folder").len()
    }

    /// The name and the message of the newest entry, which stays in the outbox.
    pub fn newest(&self) -> Option<(String, Option<Message>)> {
        let name = self.outbox().list().expect("a folder").pop()?;
        let text = fs::read_to_string(self.0.join(&name)).expect("an entry");
        Some((name, serde_json::from_str(&text).expect("a message or null")))
    }

    /// Takes all messages, the oldest first.
    pub fn take(&self) -> Vec<Message> {
        let mut messages = Vec::new();
        for name in self.outbox().list().expect("a folder") {
            let path = self.0.join(name);
            let text = fs::read_to_string(&path).expect("an entry");
            messages.extend(serde_json::from_str::<Option<Message>>(&text).expect("a message or null"));
            fs::remove_file(path).expect("an entry");
        }
        messages
    }

    /// Takes the only message and returns its code.
    pub fn code(&self) -> String {
        let messages = self.take();
        let [message] = messages.as_slice() else { panic!("one message, not {messages:?}") };
        message.content.code().expect("a message with a code").as_str().to_owned()
    }

    /// Makes the outbox unreachable: a file has its name.
    pub fn break_down(&self) {
        fs::remove_dir_all(&self.0).expect("a folder");
        fs::write(&self.0, "").expect("a file");
    }

    /// Makes the outbox reachable again.
    pub fn repair(&self) {
        fs::remove_file(&self.0).expect("a file");
        fs::create_dir_all(&self.0).expect("a folder");
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        let _ = fs::remove_file(&self.0);
    }
}

impl Response {
    /// The handle of a request for a code.
    pub fn handle(&self) -> String {
        assert_eq!(self.status, 202, "{}", self.body);
        self.text("handle")
    }
}
