//! Reading of JSON bodies. All faults are collected, so that a caller learns of them at once.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use super::json_object::JsonObject;
use super::{Request, media_type};
use crate::domain::{Handle, Lifetime, MailedCode, Password, PasswordPolicy, Value, Version};
use crate::error::{ApiError, Code, Fault};

/// Maximum size of a body: the largest value, the longest key with all characters escaped, and the other members.
const MAX_BYTES: usize = 512 * 1024;

/// A JSON object and the faults that were found in it.
///
/// The methods that read a member return `None` and record a fault if the member is invalid. [`Body::finish`] returns
/// the faults.
pub struct Body<'a> {
    object: JsonObject<'a>,
    /// The prefix of member names in faults: empty for the body itself, and for example `operations[0].` for a nested
    /// object.
    path: String,
    faults: Vec<Fault>,
}

impl<'a> Body<'a> {
    /// Reads the body of a request. Without `Content-Type` it is read as JSON.
    ///
    /// # Errors
    /// The body has another media type or is compressed, is too large, or is not a JSON object in UTF-8 with distinct members.
    pub fn read(request: &'a Request) -> Result<Self, ApiError> {
        Self::read_at_most(request, MAX_BYTES)
    }

    /// Reads the body of a request that may have up to `max_bytes`.
    ///
    /// # Errors
    /// As for [`Body::read`].
    pub fn read_at_most(request: &'a Request, max_bytes: usize) -> Result<Self, ApiError> {
        if !media_type::is_json(&request.headers) {
            let message = "send JSON: Content-Type: application/json";
            return Err(ApiError::invalid("content-type", Code::UnsupportedMediaType, message));
        }
        if let Some(coding) = media_type::content_encoding(&request.headers) {
            let message = format!("send the body without the content encoding {coding}");
            return Err(ApiError::invalid("content-encoding", Code::UnsupportedMediaType, message));
        }
        if request.body.len() > max_bytes {
            let message = format!("the body must be at most {max_bytes} bytes");
            return Err(ApiError::invalid("body", Code::PayloadTooLarge, message));
        }
        let invalid = |message: String| ApiError::invalid("body", Code::InvalidRequest, message);
        let text =
            std::str::from_utf8(&request.body).map_err(|error| invalid(format!("the body must be UTF-8: {error}")))?;
        // RFC 8259 §8.1 allows to ignore a byte order mark.
        Self::of_text(text.strip_prefix('\u{feff}').unwrap_or(text), "body")
    }

    /// Reads a text, which faults call `name`.
    ///
    /// # Errors
    /// The text is not a JSON object with distinct members.
    pub fn of_text(text: &'a str, name: &'static str) -> Result<Self, ApiError> {
        let invalid = |problem| {
            ApiError::invalid(name, Code::InvalidRequest, format!("the {name} must be a JSON object{problem}"))
        };
        let object = JsonObject::read(text).map_err(invalid)?;
        Ok(Self { object, path: String::new(), faults: Vec::new() })
    }

    /// Records a fault for each member that is not one of `known`.
    pub fn only(&mut self, known: &[&'static str]) {
        let unknown: Vec<String> =
            self.object.names().filter(|name| !known.contains(name)).map(str::to_owned).collect();
        for name in unknown {
            let name: String = name.chars().take(50).collect();
            let message = format!("{name:?} is not a member. The members are {}", known.join(", "));
            self.faults.push(Fault::new(name, Code::InvalidRequest, message));
        }
    }

    /// Reads a required string. If the type rejects it, the fault has `code`.
    pub fn text<T: FromStr<Err: fmt::Display>>(&mut self, field: &'static str, code: Code) -> Option<T> {
        self.text_or(field, code, Code::InvalidRequest)
    }

    /// Reads a required string like [`Body::text`]. If it is missing or empty, the fault has the code `absent`.
    pub fn text_or<T>(&mut self, field: &'static str, code: Code, absent: Code) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        self.text_by(field, code, absent, str::parse)
    }

    /// Reads an optional string like [`Body::text`]. `null` counts as absent.
    pub fn optional_text<T: FromStr<Err: fmt::Display>>(&mut self, field: &'static str, code: Code) -> Option<T> {
        self.given(field).and_then(|_| self.text(field, code))
    }

    /// Reads the only member of a body, a string.
    ///
    /// # Errors
    /// It is missing, not a string, or rejected by the type.
    pub fn only_text<T: FromStr<Err: fmt::Display>>(mut self, field: &'static str) -> Result<T, ApiError> {
        let text = self.text(field, Code::InvalidRequest);
        self.finish(text)
    }

    /// Reads a required string that becomes the password of an account.
    pub fn new_password(&mut self, field: &'static str, policy: PasswordPolicy) -> Option<Password> {
        self.text_by(field, Code::InvalidPassword, Code::InvalidRequest, |text| policy.accept(text))
    }

    fn text_by<T, E: fmt::Display>(
        &mut self,
        field: &'static str,
        code: Code,
        absent: Code,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let Some(raw) = self.given(field) else {
            self.fault(field, absent, format!("{field} is required"));
            return None;
        };
        let Ok(text) = serde_json::from_str::<Cow<'_, str>>(raw.get()) else {
            self.fault(field, Code::InvalidRequest, format!("{field} must be a string of valid Unicode"));
            return None;
        };
        if text.is_empty() && absent != Code::InvalidRequest {
            self.fault(field, absent, format!("{field} is required"));
            return None;
        }
        parse(&text).map_err(|error| self.fault(field, code, error)).ok()
    }

    /// Reads a required number. If the type rejects it, the fault has `code`.
    pub fn number<T: FromStr<Err: fmt::Display>>(&mut self, field: &'static str, code: Code) -> Option<T> {
        let Some(raw) = self.given(field) else {
            self.fault(field, Code::InvalidRequest, format!("{field} is required"));
            return None;
        };
        self.convert(field, code, raw)
    }

    /// Reads an optional number like [`Body::number`]. `null` counts as absent.
    pub fn optional_number<T: FromStr<Err: fmt::Display>>(&mut self, field: &'static str, code: Code) -> Option<T> {
        self.given(field).and_then(|_| self.number(field, code))
    }

    /// Whether the body has the member, even if it is `null`.
    pub fn has(&self, field: &str) -> bool {
        self.object.find(field).is_some()
    }

    /// Reads the required `value`: any JSON value, including `null`.
    pub fn value(&mut self) -> Option<Value> {
        let Some(raw) = self.object.find("value") else {
            self.fault("value", Code::InvalidValue, "value is required; it may be null");
            return None;
        };
        Value::try_from(raw).map_err(|error| self.fault("value", error.into(), error)).ok()
    }

    /// Reads the optional `expires_in`, in seconds.
    pub fn lifetime(&mut self) -> Option<Lifetime> {
        let raw = self.given("expires_in")?;
        self.convert("expires_in", Code::InvalidRequest, raw)
    }

    /// Reads the optional `if_version`. `null` is a fault: ignoring it would drop the precondition.
    pub fn if_version(&mut self) -> Option<Version> {
        let raw = self.object.find("if_version")?;
        self.convert("if_version", Code::InvalidRequest, raw)
    }

    /// Reads the required `handle` and `code` of a mailed code.
    pub fn mailed_code(&mut self) -> Option<(Handle, MailedCode)> {
        let handle = self.text("handle", Code::InvalidRequest);
        let code = self.text("code", Code::InvalidRequest);
        handle.zip(code)
    }

    /// Reads an optional `true` or `false`; the default is `false`.
    pub fn flag(&mut self, field: &'static str) -> bool {
        self.given(field).is_some() && self.boolean(field).unwrap_or_default()
    }

    /// Reads a required `true` or `false`. `null` is a fault.
    pub fn boolean(&mut self, field: &'static str) -> Option<bool> {
        match self.object.find(field).map(RawValue::get) {
            Some("false") => Some(false),
            Some("true") => Some(true),
            _ => {
                self.fault(field, Code::InvalidRequest, format!("{field} must be true or false"));
                None
            }
        }
    }

    /// Reads a required array of 1 to `max` objects. Calls `read` with the index and the members of each object, and
    /// returns the results.
    pub fn each<T>(
        &mut self,
        field: &'static str,
        max: usize,
        mut read: impl FnMut(usize, &mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.given(field).and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
        let Some(items) = items.filter(|items| (1..=max).contains(&items.len())) else {
            self.fault(field, Code::InvalidRequest, format!("{field} must be an array of 1 to {max} objects"));
            return None;
        };
        let mut results = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{}{field}[{index}]", self.path);
            match JsonObject::read(item.get()) {
                Ok(object) => {
                    let mut item = Self { object, path: path + ".", faults: Vec::new() };
                    results.extend(read(index, &mut item));
                    self.faults.append(&mut item.faults);
                }
                Err(problem) => {
                    let message = format!("{path} must be a JSON object{problem}");
                    self.faults.push(Fault::new(path, Code::InvalidRequest, message));
                }
            }
        }
        Some(results)
    }

    /// Records a fault that the methods that read a member cannot find, for example one that involves several members.
    pub fn fault(&mut self, field: &'static str, code: Code, message: impl ToString) {
        self.faults.push(match self.path.as_str() {
            "" => Fault::new(field, code, message),
            path => {
                let message = format!("{}: {}", path.trim_end_matches('.'), message.to_string());
                Fault::new(format!("{path}{field}"), code, message)
            }
        });
    }

    /// Returns `read` if the body has no faults. `read` may be `None` only if there are faults.
    ///
    /// # Errors
    /// The faults, in the order in which the members were read.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, ApiError> {
        match read {
            Some(read) if self.faults.is_empty() => Ok(read),
            _ => Err(ApiError::Invalid(self.faults)),
        }
    }

    /// Reads the JSON text of a member.
    fn convert<T: FromStr<Err: fmt::Display>>(&mut self, field: &'static str, code: Code, raw: &RawValue) -> Option<T> {
        raw.get().parse().map_err(|error| self.fault(field, code, error)).ok()
    }

    /// Returns a member unless it is `null`.
    fn given(&self, field: &str) -> Option<&'a RawValue> {
        self.object.find(field).filter(|raw| raw.get() != "null")
    }
}
