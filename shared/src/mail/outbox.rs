use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use uuid::Uuid;

use super::Message;
use crate::aws::s3::{Bucket, is_bucket_name};
use crate::env::{self, EnvError};
use crate::report::BoxError;

/// The place where messages wait for `mail-send`.
#[derive(Clone, Debug)]
pub enum Outbox {
    /// A bucket of S3.
    Bucket(Arc<Bucket>),
    /// A folder on this machine.
    Folder(Arc<Path>),
}

/// Why the outbox was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The bucket or the folder is unreachable.
    #[error("the outbox is unavailable")]
    Unavailable(#[source] BoxError),
    /// An entry is not one of this service.
    #[error("the entry {0} of the outbox is not a message: {1}")]
    Malformed(String, String),
}

/// The text of an entry without a message. A request that must not tell whether an account exists writes it, so that it takes as
/// long as one that mails a code.
const NO_MESSAGE: &str = "null";

const FORM: &str = "the absolute path of a folder, or s3:// and the name of a bucket";

impl Outbox {
    /// Reads `MAIL_OUTBOX`: `s3://` and the name of a bucket, or the path of a folder. Without it, no mail is sent.
    ///
    /// # Errors
    /// The variable has another form, or those for the access to AWS are missing.
    pub fn from_env() -> Result<Option<Self>, EnvError> {
        const NAME: &str = "MAIL_OUTBOX";
        let Some(given) = env::optional(NAME) else {
            return Ok(None);
        };
        if let Some(bucket) = given.trim().strip_prefix("s3://").filter(|name| is_bucket_name(name)) {
            return Ok(Some(Self::Bucket(Arc::new(Bucket::from_env(bucket)?))));
        }
        let folder = PathBuf::from(given.trim());
        if !folder.is_absolute() {
            return Err(EnvError::Invalid { name: NAME, expected: FORM.to_owned(), given });
        }
        Ok(Some(Self::Folder(folder.into())))
    }

    /// Puts a message into the outbox, or an entry without one. An entry with the same id is replaced.
    ///
    /// # Errors
    /// The outbox is unreachable.
    pub async fn put(&self, id: Uuid, message: Option<&Message>, now: SystemTime) -> Result<(), OutboxError> {
        self.put_text(id, &message.map_or_else(|| NO_MESSAGE.to_owned(), Message::text), now).await
    }

    /// Puts the text of a message into the outbox.
    ///
    /// # Errors
    /// The outbox is unreachable.
    pub async fn put_text(&self, id: Uuid, text: &str, now: SystemTime) -> Result<(), OutboxError> {
        match self {
            Self::Bucket(bucket) => bucket.put(&name(id), text, now).await,
            Self::Folder(folder) => put_file(folder, &name(id), text).map_err(Into::into),
        }
        .map_err(OutboxError::Unavailable)
    }

    /// Reads an entry. Returns none if it was removed or has no message.
    ///
    /// # Errors
    /// The outbox is unreachable, or the entry is not a message.
    pub async fn read(&self, name: &str, now: SystemTime) -> Result<Option<Message>, OutboxError> {
        let text = match self {
            Self::Bucket(bucket) => bucket.get(name, now).await,
            Self::Folder(folder) => match fs::read_to_string(folder.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                read => read.map(Some).map_err(Into::into),
            },
        };
        let text = text.map_err(OutboxError::Unavailable)?;
        let message = text.as_deref().map_or(Ok(None), serde_json::from_str);
        message.map_err(|error| OutboxError::Malformed(name.to_owned(), error.to_string()))
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// The outbox is unreachable.
    pub async fn remove(&self, name: &str, now: SystemTime) -> Result<(), OutboxError> {
        match self {
            Self::Bucket(bucket) => bucket.delete(name, now).await,
            Self::Folder(folder) => fs::remove_file(folder.join(name)).map_err(Into::into),
        }
        .map_err(OutboxError::Unavailable)
    }

    /// Lists the entries of a folder, the oldest first.
    ///
    /// # Errors
    /// The folder cannot be read, or the outbox is not a folder.
    pub fn list(&self) -> Result<Vec<String>, OutboxError> {
        let Self::Folder(folder) = self else {
            return Err(OutboxError::Unavailable(
                "only a folder is listed: the bucket's events name its entries".into(),
            ));
        };
        list_files(folder).map_err(|error| OutboxError::Unavailable(error.into()))
    }
}

fn name(id: Uuid) -> String {
    format!("{id}.json")
}

/// Writes a file that appears with all its text.
fn put_file(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let unfinished = folder.join(format!(".{name}"));
    fs::write(&unfinished, text)?;
    fs::rename(unfinished, folder.join(name))
}

fn list_files(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if !name.starts_with('.') {
            files.push((entry.metadata()?.modified()?, name));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, name)| name).collect())
}
