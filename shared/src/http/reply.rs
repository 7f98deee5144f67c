use std::time::Duration;

use lambda_http::http::header::{CACHE_CONTROL, ETAG, HeaderName, HeaderValue, LOCATION};
use lambda_http::http::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::domain::Version;

/// A success: status, headers, and what the envelope carries: `data` is written as JSON already.
#[derive(Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) message: Option<&'static str>,
    pub(crate) data: Option<Result<String, serde_json::Error>>,
    /// In place of the envelope.
    pub(crate) document: Option<Result<String, serde_json::Error>>,
}

impl Reply {
    /// 200 with nothing in it yet.
    pub fn ok() -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), message: None, data: None, document: None }
    }

    /// 201 with nothing in it yet.
    pub fn created() -> Self {
        Self { status: StatusCode::CREATED, ..Self::ok() }
    }

    /// 304: the caller has the current version.
    pub fn not_modified() -> Self {
        Self { status: StatusCode::NOT_MODIFIED, ..Self::ok() }
    }

    /// With a sentence for a person.
    pub fn message(self, message: &'static str) -> Self {
        Self { message: Some(message), ..self }
    }

    /// With something under `data`.
    pub fn data(self, data: &impl Serialize) -> Self {
        Self { data: Some(serde_json::to_string(data)), ..self }
    }

    /// 200 with a public document whose form another standard fixes, so that it has no envelope. Anybody may keep it for
    /// `max_age`.
    pub fn document(document: &impl Serialize, max_age: Duration) -> Self {
        Self { document: Some(serde_json::to_string(document)), ..Self::ok() }.public(max_age)
    }

    /// The same with a document that is JSON already.
    pub fn document_text(document: &str, max_age: Duration) -> Self {
        Self { document: Some(Ok(document.to_owned())), ..Self::ok() }.public(max_age)
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
