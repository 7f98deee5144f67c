use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use lambda_http::http::StatusCode;
use serde::Serialize;

use super::headers::ResponseHeaders;
use crate::domain::Version;

/// A successful response: status, headers, and body.
///
/// The constructor determines the body. Methods change only the status and headers, so that none can discard a message
/// or data.
pub struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: ResponseHeaders,
    pub(super) body: ReplyBody,
}

/// The body of a reply.
pub(super) enum ReplyBody {
    /// Text: an envelope of the API, or a document in a format that another standard defines.
    Text(Result<String, serde_json::Error>),
    /// Text of another media type, compressed with gzip.
    Gzipped(&'static [u8]),
    /// No body, because the caller has the current version.
    NotModified,
}

impl Reply {
    /// Makes a 200 with a message for humans.
    pub fn message(message: &'static str) -> Self {
        Self::new(ReplyBody::Text(envelope(Some(message), None::<&()>)))
    }

    /// Makes a 200 with `data`.
    pub fn data(data: &impl Serialize) -> Self {
        Self::new(ReplyBody::Text(envelope(None, Some(data))))
    }

    /// Makes a 200 with a message for humans and `data`.
    pub fn message_and_data(message: &'static str, data: &impl Serialize) -> Self {
        Self::new(ReplyBody::Text(envelope(Some(message), Some(data))))
    }

    /// Makes a 304, for a caller that has the current version.
    pub fn not_modified() -> Self {
        Self { status: StatusCode::NOT_MODIFIED, ..Self::new(ReplyBody::NotModified) }
    }

    /// Makes a 200 with a public document without an envelope, in a format that another standard defines. Caches may
    /// keep it for `max_age`.
    pub fn document(document: &impl Serialize, max_age: Duration) -> Self {
        Self::new(ReplyBody::Text(serde_json::to_string(document))).public(max_age)
    }

    /// Makes the same reply as [`Reply::document`] from JSON text.
    pub fn document_text(document: &str, max_age: Duration) -> Self {
        Self::new(ReplyBody::Text(Ok(document.to_owned()))).public(max_age)
    }

    /// Makes a 200 with a text, whose media type [`Reply::html`] sets.
    pub fn text(text: String) -> Self {
        Self::new(ReplyBody::Text(Ok(text)))
    }

    /// Makes a 200 with a text that is compressed with gzip (RFC 1952), for callers that [accept
    /// it](super::accepts_gzip).
    pub fn gzipped(text: &'static [u8]) -> Self {
        Self::new(ReplyBody::Gzipped(text)).header("content-encoding", "gzip")
    }

    fn new(body: ReplyBody) -> Self {
        Self { status: StatusCode::OK, headers: ResponseHeaders::default(), body }
    }

    /// Sets the status to 201.
    #[must_use]
    pub fn created(self) -> Self {
        Self { status: StatusCode::CREATED, ..self }
    }

    /// Adds the headers of a public HTML page that caches may keep for `max_age`. `tag` is the entity tag without
    /// quotes. `policy` limits what the page may load and run (Content Security Policy Level 3).
    #[must_use]
    pub fn html(self, tag: &str, policy: &str, max_age: Duration) -> Self {
        self.header("content-type", "text/html; charset=utf-8")
            .header("content-security-policy", policy.to_owned())
            .header("referrer-policy", "no-referrer")
            // Weak, because the bytes depend on the encoding (RFC 9110 §8.8.3.3).
            .header("etag", format!("W/\"{tag}\""))
            .header("vary", "accept-encoding")
            .public(max_age)
    }

    fn public(self, max_age: Duration) -> Self {
        self.header("cache-control", format!("public, max-age={}", max_age.as_secs()))
    }

    /// Adds the strong entity tag of a version (RFC 9110 §8.8.3).
    #[must_use]
    pub fn etag(self, version: Version) -> Self {
        self.header("etag", format!("\"{version}\""))
    }

    /// Adds the path of a created resource, which must be percent-encoded.
    #[must_use]
    pub fn location(self, path: String) -> Self {
        self.header("location", path)
    }

    fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.set(name, value);
        self
    }
}

/// Makes the envelope of a success.
fn envelope(message: Option<&'static str>, data: Option<&impl Serialize>) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Envelope<'a, T> {
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a T>,
    }

    serde_json::to_string(&Envelope { status: "success", message, data })
}

/// Leaves out headers and body, because they may contain tokens and values.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}
