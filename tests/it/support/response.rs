use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{Read, Write as _};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use shared::http::{self, Route};

/// A response that a client receives.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl From<http::Response> for Response {
    fn from(response: http::Response) -> Self {
        let body = response.body.unwrap_or_default();
        let headers = response.headers.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, value.parse::<HeaderValue>().expect("the value of a header"))
        });
        let headers: HeaderMap = headers.collect();
        let body = if response.is_base64_encoded { unpack(&body, &headers) } else { body };
        Self { status: response.status_code, headers, body }
    }
}

/// Decodes a binary body, which is always compressed text.
fn unpack(body: &str, headers: &HeaderMap) -> String {
    assert_eq!(headers["content-encoding"], "gzip");
    let bytes = STANDARD.decode(body).expect("base64");
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("a compressed text");
    text
}

impl Response {
    /// Appends the response to the file in `RESPONSES_FILE`, if set. `tests/openapi/check.py` compares it with the
    /// OpenAPI document.
    pub(super) fn record(&self, route: &Route) {
        let Ok(path) = std::env::var("RESPONSES_FILE") else { return };
        let headers: Vec<&str> = self.headers.keys().map(|name| name.as_str()).collect();
        let line = serde_json::json!({
            "route": route.to_string().replace("{key+}", "{key}"),
            "status": self.status,
            "content_type": self.header("content-type"),
            "headers": headers,
            "body": self.body,
        });
        let mut file = File::options().create(true).append(true).open(path).expect("a file to be written");
        file.write_all(format!("{line}\n").as_bytes()).expect("a file to be written");
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// The status and the error code, or only the status. Parses nothing else, so that the depth of a body is not
    /// limited.
    pub fn outcome(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Envelope {
            code: Option<String>,
        }
        match serde_json::from_str::<Envelope>(&self.body).ok().and_then(|envelope| envelope.code) {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers are ASCII"))
    }

    /// A string member of `data`.
    pub fn text(&self, member: &str) -> String {
        let json = self.json();
        json["data"][member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.body)).to_owned()
    }

    /// The JSON text of `data.value`, unchanged.
    pub fn value_text(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow)]
            data: Data<'a>,
        }
        #[derive(serde::Deserialize)]
        struct Data<'a> {
            #[serde(borrow)]
            value: &'a serde_json::value::RawValue,
        }
        let envelope: Envelope<'_> = serde_json::from_str(&self.body).expect("an entry");
        envelope.data.value.get().to_owned()
    }
}

/// The response for a snapshot. Headers that every response has are checked and left out. Values that differ between
/// runs are checked and replaced by their kind.
impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        let policy = self.header("content-security-policy");
        assert_eq!(policy, Some("default-src 'none'; frame-ancestors 'none'"));
        let expected_type = (!self.body.is_empty()).then_some("application/json; charset=utf-8");
        assert_eq!(self.header("content-type"), expected_type);
        // The form of an error depends on the header `Accept`.
        assert_eq!(self.header("vary"), (self.status >= 400).then_some("accept"));
        writeln!(f, "{}", self.status)?;
        let mut names: Vec<&str> = self.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        for name in names {
            if !["x-content-type-options", "cache-control", "content-type", "content-security-policy", "vary"]
                .contains(&name)
            {
                writeln!(f, "{name}: {}", self.header(name).unwrap_or_default())?;
            }
        }
        if !self.body.is_empty() {
            let mut json = self.json();
            redact(&mut json);
            f.write_str(&serde_json::to_string_pretty(&json).map_err(|_| fmt::Error)?)?;
            f.write_char('\n')?;
        }
        Ok(())
    }
}

fn redact(json: &mut Value) {
    if let Value::Array(items) = json {
        items.iter_mut().for_each(redact);
    }
    let Value::Object(members) = json else { return };
    for (name, value) in members {
        let kind = match (name.as_str(), &*value) {
            ("user_id" | "session_id" | "id", Value::String(text)) => {
                let id: uuid::Uuid = text.parse().expect("a UUID");
                assert_eq!(id.get_version_num(), 7);
                "[UUIDv7]"
            }
            ("handle", Value::String(text)) => {
                let id: uuid::Uuid = text.parse().expect("a UUID");
                assert_eq!(id.get_version_num(), 4);
                "[UUID]"
            }
            ("access_token", Value::String(text)) => {
                assert_eq!(text.split('.').count(), 3, "{text}");
                "[JWT]"
            }
            ("refresh_token", Value::String(text)) => {
                assert_eq!(text.len(), 128, "{text}");
                "[refresh token]"
            }
            _ => {
                redact(value);
                continue;
            }
        };
        *value = Value::from(kind);
    }
}
