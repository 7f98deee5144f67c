use std::time::Duration;

use lambda_http::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, VARY,
};
use lambda_http::http::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::domain::Version;

/// A success: status, headers, and what the body says.
#[derive(Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
}

/// What a success says.
#[derive(Debug)]
pub(crate) enum Content {
    /// The contract's envelope, which carries a sentence for a person and data that is JSON already.
    Envelope { message: Option<&'static str>, data: Option<Result<String, serde_json::Error>> },
    /// JSON whose form another standard fixes.
    Document(Result<String, serde_json::Error>),
    /// A text of another kind.
    Text(String),
    /// The same, compressed.
    Gzipped(&'static [u8]),
    /// Nothing: the caller has it.
    NotModified,
}

impl Reply {
    /// 200 with nothing in it yet.
    pub fn ok() -> Self {
        Self::with(Content::Envelope { message: None, data: None })
    }

    /// 201 with nothing in it yet.
    pub fn created() -> Self {
        Self { status: StatusCode::CREATED, ..Self::ok() }
    }

    /// 304: the caller has the current version.
    pub fn not_modified() -> Self {
        Self { status: StatusCode::NOT_MODIFIED, ..Self::with(Content::NotModified) }
    }

    /// With a sentence for a person.
    pub fn message(mut self, sentence: &'static str) -> Self {
        if let Content::Envelope { message, .. } = &mut self.content {
            *message = Some(sentence);
        }
        self
    }

    /// With something under `data`.
    pub fn data(mut self, carried: &impl Serialize) -> Self {
        if let Content::Envelope { data, .. } = &mut self.content {
            *data = Some(serde_json::to_string(carried));
        }
        self
    }

    /// 200 with a public document whose form another standard fixes, so that it has no envelope. Anybody may keep it for
    /// `max_age`.
    pub fn document(document: &impl Serialize, max_age: Duration) -> Self {
        Self::with(Content::Document(serde_json::to_string(document))).public(max_age)
    }

    /// The same with a document that is JSON already.
    pub fn document_text(document: &str, max_age: Duration) -> Self {
        Self::with(Content::Document(Ok(document.to_owned()))).public(max_age)
    }

    /// 200 with a text that [`Reply::html`] says the kind of.
    pub fn text(text: String) -> Self {
        Self::with(Content::Text(text))
    }

    /// The same, compressed as gzip has it (RFC 1952): for whoever [takes it](super::takes_gzip).
    pub fn gzipped(text: &'static [u8]) -> Self {
        Self::with(Content::Gzipped(text)).header(CONTENT_ENCODING, "gzip".to_owned())
    }

    /// As a public page for a browser, which anybody may keep for `max_age`. `tag` names its content without quotes, and
    /// `policy` is what it may load and run (Content Security Policy Level 3).
    pub fn html(self, tag: &str, policy: &str, max_age: Duration) -> Self {
        self.header(CONTENT_TYPE, "text/html; charset=utf-8".to_owned())
            .header(CONTENT_SECURITY_POLICY, policy.to_owned())
            .header(REFERRER_POLICY, "no-referrer".to_owned())
            // Weak: the bytes depend on the encoding (RFC 9110 §8.8.3.3).
            .header(ETAG, format!("W/\"{tag}\""))
            .header(VARY, "accept-encoding".to_owned())
            .public(max_age)
    }

    fn with(content: Content) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), content }
    }

    fn public(self, max_age: Duration) -> Self {
        self.header(CACHE_CONTROL, format!("public, max-age={}", max_age.as_secs()))
    }

    /// With the version's strong entity tag (RFC 9110 §8.8.3).
    pub fn etag(self, version: Version) -> Self {
        self.header(ETAG, format!("\"{version}\""))
    }

    /// With the path at which what was created can be read. It must be percent-encoded already.
    pub fn location(self, path: String) -> Self {
        self.header(LOCATION, path)
    }

    fn header(mut self, name: HeaderName, value: String) -> Self {
        match HeaderValue::try_from(value) {
            Ok(value) => {
                self.headers.insert(name, value);
            }
            // Versions are digits and paths are percent-encoded; a caller that breaks that rule loses the header only.
            Err(error) => tracing::error!(%name, %error, "a reply's header could not be written"),
        }
        self
    }
}
