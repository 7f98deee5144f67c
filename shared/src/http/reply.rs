use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_http::http::StatusCode;
use ring::digest;
use serde::Serialize;

use super::headers::ResponseHeaders;
use super::precondition::{EntityTag, has_current};
use super::{Request, accepts_gzip};
use crate::domain::Version;
use crate::error::ApiError;

/// Bytes of a digest in an entity tag. 128 bits distinguish all documents.
const TAG_BYTES: usize = 16;

/// A public HTML page.
pub struct Page {
    /// Its entity tag, without quotes.
    pub tag: &'static str,
    /// The page, compressed with gzip (RFC 1952).
    pub gzipped: &'static [u8],
    /// Decompresses the page, for clients without gzip, such as curl.
    pub unpack: fn() -> Result<String, ApiError>,
    /// The limits of what it may load and run (Content Security Policy Level 3).
    pub policy: &'static str,
}

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

    /// Makes a 200 with a public JSON document without an envelope, in a format that another standard defines, or a 304 if the
    /// caller has it. Caches may keep it for `max_age`. Its entity tag is a digest of its text.
    ///
    /// # Errors
    /// A precondition of the request is malformed or failed.
    pub fn document(request: &Request, text: String, max_age: Duration) -> Result<Self, ApiError> {
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let opaque = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..TAG_BYTES]);
        let tag = EntityTag { opaque: &opaque, weak: false };
        let reply =
            if has_current(request, tag)? { Self::not_modified() } else { Self::new(ReplyBody::Text(Ok(text))) };
        Ok(reply.tagged(tag).public(max_age))
    }

    /// Makes a 200 with a public HTML page that caches may keep for `max_age`, or a 304 if the caller has it.
    ///
    /// # Errors
    /// A precondition of the request is malformed or failed, or the page cannot be decompressed.
    pub fn page(request: &Request, page: &Page, max_age: Duration) -> Result<Self, ApiError> {
        // Weak, because the bytes depend on the encoding (RFC 9110 §8.8.3.3).
        let tag = EntityTag { opaque: page.tag, weak: true };
        let reply = if has_current(request, tag)? {
            Self::not_modified()
        } else if accepts_gzip(request) {
            Self::new(ReplyBody::Gzipped(page.gzipped)).header("content-encoding", "gzip")
        } else {
            Self::new(ReplyBody::Text(Ok((page.unpack)()?)))
        };
        Ok(reply
            .tagged(tag)
            .header("content-type", "text/html; charset=utf-8")
            .header("content-security-policy", page.policy)
            .header("referrer-policy", "no-referrer")
            .header("vary", "accept-encoding")
            .public(max_age))
    }

    fn new(body: ReplyBody) -> Self {
        Self { status: StatusCode::OK, headers: ResponseHeaders::default(), body }
    }

    /// Sets the status to 201.
    #[must_use]
    pub fn created(self) -> Self {
        Self { status: StatusCode::CREATED, ..self }
    }

    /// Sets the status to 202: the request is accepted, and its work is not done yet.
    #[must_use]
    pub fn accepted(self) -> Self {
        Self { status: StatusCode::ACCEPTED, ..self }
    }

    fn tagged(self, tag: EntityTag<'_>) -> Self {
        let prefix = if tag.weak { "W/" } else { "" };
        self.header("etag", format!("{prefix}\"{}\"", tag.opaque))
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
