//! Reads lines from an object of S3, part by part, or from a reader.

use std::io::Read;
use std::time::SystemTime;

use shared::aws::s3::{self, Bucket};
use shared::report::BoxError;

/// Bytes that are read at a time.
const PART: u64 = 1024 * 1024;
/// Maximum number of bytes of a line.
const MAX_LINE: usize = 64 * 1024;

/// A line that is not blank.
pub(crate) struct Line {
    /// The number, from 1 on. Blank lines count.
    pub(crate) number: u64,
    /// The text, or why it is none.
    pub(crate) text: Result<String, &'static str>,
}

/// The lines that have not been read yet.
pub struct Lines {
    source: Source,
    /// The last part, after a rest of those before.
    buffer: Vec<u8>,
    /// The position of the next line in `buffer`.
    start: usize,
    number: u64,
    ended: bool,
}

enum Source {
    Reader(Box<dyn Read + Send>),
    Object(Box<Object>),
}

struct Object {
    bucket: Bucket,
    key: String,
    /// The position of the next part.
    position: u64,
    version: Option<String>,
}

impl Lines {
    /// The lines of an object: `s3://<bucket>/<key>`.
    ///
    /// # Errors
    /// The address has another form, or a variable of Lambda is missing.
    pub fn of_object(address: &str) -> Result<Self, BoxError> {
        let (bucket, key) = s3::object(address)?;
        Ok(Self::new(Source::Object(Object { bucket, key, position: 0, version: None }.into())))
    }

    /// The lines of a reader, which may block.
    pub fn of_reader(reader: impl Read + Send + 'static) -> Self {
        Self::new(Source::Reader(Box::new(reader)))
    }

    fn new(source: Source) -> Self {
        Self { source, buffer: Vec::new(), start: 0, number: 0, ended: false }
    }

    /// Returns the next line that is not blank, or none at the end.
    ///
    /// # Errors
    /// The object does not exist, cannot be read, or was replaced meanwhile.
    pub(crate) async fn next(&mut self, now: SystemTime) -> Result<Option<Line>, BoxError> {
        let mut is_too_long = false;
        loop {
            let rest = &self.buffer[self.start..];
            let length = match rest.iter().position(|byte| *byte == b'\n') {
                Some(length) => length,
                None if !self.ended => {
                    if rest.len() > MAX_LINE {
                        is_too_long = true;
                        self.start = self.buffer.len();
                    }
                    self.read_part(now).await?;
                    continue;
                }
                None if rest.is_empty() && !is_too_long => return Ok(None),
                None => rest.len(),
            };
            let line = &rest[..length];
            self.number += 1;
            let text = if is_too_long || length > MAX_LINE {
                Err("the line must be at most 65536 bytes")
            } else {
                let line = line.strip_prefix("\u{feff}".as_bytes()).filter(|_| self.number == 1).unwrap_or(line);
                std::str::from_utf8(line).map(|text| text.trim().to_owned()).map_err(|_| "the line must be UTF-8")
            };
            self.start = (self.start + length + 1).min(self.buffer.len());
            is_too_long = false;
            if text.as_ref().is_ok_and(String::is_empty) {
                continue;
            }
            return Ok(Some(Line { number: self.number, text }));
        }
    }

    async fn read_part(&mut self, now: SystemTime) -> Result<(), BoxError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let part = match &mut self.source {
            Source::Reader(reader) => {
                let mut part = Vec::new();
                reader.take(PART).read_to_end(&mut part)?;
                part
            }
            Source::Object(object) => {
                let Object { bucket, key, position, version } = object.as_mut();
                let part = bucket.part(key, *position, PART, version.as_deref(), now).await?;
                let part = part.ok_or("the object does not exist")?;
                *position += part.bytes.len() as u64;
                *version = Some(part.version);
                part.bytes
            }
        };
        self.ended = (part.len() as u64) < PART;
        self.buffer.extend(part);
        Ok(())
    }
}
