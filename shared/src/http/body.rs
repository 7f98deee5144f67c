//! Reading a JSON body member by member, so that a caller learns of all its faults at once.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use lambda_http::http::header::CONTENT_TYPE;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Request;
use crate::domain::{Lifetime, Password, PasswordPolicy, Value, Version};
use crate::error::{ApiError, Code, Fault};

/// Bytes. The largest value, the longest key with every character escaped, and room for the rest.
const MAX_BYTES: usize = 512 * 1024;

/// A body that is a JSON object, and the faults found in it so far.
///
/// Ask it for each member; it hands out what is right and remembers what is not. At the end [`Body::finish`] says whether
/// anything was wrong.
pub struct Body<'a> {
    members: Members<'a>,
    /// What stands before the names of its members: nothing, but in an object within an array.
    path: String,
    faults: Vec<Fault>,
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Body<'a> {
    /// Reads the body of a request. Without `Content-Type` it is taken for JSON.
    ///
    /// # Errors
    /// Another media type, too many bytes, no UTF-8, no JSON, no object, or an object that has a member twice.
    pub fn read(request: &'a Request) -> Result<Self, ApiError> {
        Self::read_at_most(request, MAX_BYTES)
    }

    /// Reads a body that may have more or fewer bytes than others.
    ///
    /// # Errors
    /// As for [`Body::read`].
    pub fn read_at_most(request: &'a Request, max_bytes: usize) -> Result<Self, ApiError> {
        if !has_json_type(request) {
            let message = "send JSON: Content-Type: application/json";
            return Err(ApiError::invalid("content-type", Code::UnsupportedMediaType, message));
        }
        if request.body.len() > max_bytes {
            let message = format!("the body must be at most {max_bytes} bytes");
            return Err(ApiError::invalid("body", Code::PayloadTooLarge, message));
        }
        let refuse = |message: String| ApiError::invalid("body", Code::InvalidRequest, message);
        let text =
            std::str::from_utf8(&request.body).map_err(|error| refuse(format!("the body is no UTF-8: {error}")))?;
        let members =
            Members::read(text).map_err(|problem| refuse(format!("the body must be a JSON object{problem}")))?;
        Ok(Self { members, path: String::new(), faults: Vec::new() })
    }

    /// A member that has to be there, as text that the type accepts. A text refused by the type is a fault of `code`.
    pub fn text<T: FromStr<Err: fmt::Display>>(&mut self, field: &'static str, code: Code) -> Option<T> {
        self.text_or(field, code, Code::InvalidRequest)
    }

    /// Like [`Body::text`], where a missing or empty member is a fault of the code `absent`.
    pub fn text_or<T>(&mut self, field: &'static str, code: Code, absent: Code) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        self.text_by(field, code, absent, str::parse)
    }

    /// The text of the one member that a route asks for.
    ///
    /// # Errors
    /// It is missing or no text.
    pub fn only_text<T: FromStr<Err: fmt::Display>>(mut self, field: &'static str) -> Result<T, ApiError> {
        let text = self.text(field, Code::InvalidRequest);
        self.finish(text)
    }

    /// A member that has to be there and becomes the password of an account.
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

    /// A member that has to be there, as a number that the type accepts. Anything else is a fault of `code`.
    pub fn number<T: TryFrom<f64, Error: fmt::Display>>(&mut self, field: &'static str, code: Code) -> Option<T> {
        let Some(raw) = self.given(field) else {
            self.fault(field, Code::InvalidRequest, format!("{field} is required"));
            return None;
        };
        self.accept(field, code, raw)
    }

    /// Whether there is such a member, be it `null`.
    pub fn has(&self, field: &str) -> bool {
        self.members.find(field).is_some()
    }

    /// `value`: any JSON value, `null` too.
    pub fn value(&mut self) -> Option<Value> {
        let Some(raw) = self.members.find("value") else {
            self.fault("value", Code::InvalidValue, "value is required; it may be null");
            return None;
        };
        Value::try_from(raw).map_err(|error| self.fault("value", error.into(), error)).ok()
    }

    /// `expires_in`: seconds, or nothing.
    pub fn lifetime(&mut self) -> Option<Lifetime> {
        let raw = self.given("expires_in")?;
        self.accept("expires_in", Code::InvalidRequest, raw)
    }

    /// `if_version`: a number, or nothing. A `null` is no number: a guard must not vanish.
    pub fn if_version(&mut self) -> Option<Version> {
        let raw = self.members.find("if_version")?;
        self.accept("if_version", Code::InvalidRequest, raw)
    }

    /// A member that is `true` or `false`, or absent, which is as good as `false`.
    pub fn flag(&mut self, field: &'static str) -> bool {
        match self.given(field).map(RawValue::get) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.fault(field, Code::InvalidRequest, format!("{field} must be true or false"));
                false
            }
        }
    }

    /// A member that has to be there as an array of 1 to `most` objects: what `read` makes of each, by its place.
    pub fn each<T>(
        &mut self,
        field: &'static str,
        most: usize,
        mut read: impl FnMut(usize, &mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.given(field).and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
        let Some(items) = items.filter(|items| (1..=most).contains(&items.len())) else {
            self.fault(field, Code::InvalidRequest, format!("{field} must be an array of 1 to {most} objects"));
            return None;
        };
        let mut made = Vec::with_capacity(items.len());
        for (place, item) in items.into_iter().enumerate() {
            let path = format!("{}{field}[{place}]", self.path);
            match Members::read(item.get()) {
                Ok(members) => {
                    let mut item = Self { members, path: path + ".", faults: Vec::new() };
                    made.extend(read(place, &mut item));
                    self.faults.append(&mut item.faults);
                }
                Err(problem) => {
                    let message = format!("{path} must be a JSON object{problem}");
                    self.faults.push(Fault::new(path, Code::InvalidRequest, message));
                }
            }
        }
        Some(made)
    }

    /// Adds a fault that only several members together have.
    pub fn fault(&mut self, field: &'static str, code: Code, message: impl ToString) {
        self.faults.push(match self.path.as_str() {
            "" => Fault::new(field, code, message),
            path => {
                let message = format!("{}: {}", path.trim_end_matches('.'), message.to_string());
                Fault::new(format!("{path}{field}"), code, message)
            }
        });
    }

    /// What was read, unless something was wrong: then all of it.
    ///
    /// # Errors
    /// The faults, in the order in which the members were asked for. `read` is `None` only where there are some.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, ApiError> {
        match read {
            Some(read) if self.faults.is_empty() => Ok(read),
            _ => Err(ApiError::Invalid(self.faults)),
        }
    }

    fn accept<T: TryFrom<f64, Error: fmt::Display>>(
        &mut self,
        field: &'static str,
        code: Code,
        raw: &RawValue,
    ) -> Option<T> {
        // What is no number is out of every type's range; the type's own message says what to send.
        let number = serde_json::from_str(raw.get()).unwrap_or(f64::NAN);
        T::try_from(number).map_err(|error| self.fault(field, code, error)).ok()
    }

    /// A member that is there and is not `null`.
    fn given(&self, field: &str) -> Option<&'a RawValue> {
        self.members.find(field).filter(|raw| raw.get() != "null")
    }
}

impl<'a> Members<'a> {
    /// Reads an object. If it is none, the error goes on where the sentence "… must be a JSON object" ends.
    fn read(text: &'a str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(members) => Ok(members),
            // The library would quote it, whatever it is.
            Err(_) if !text.trim_start().starts_with('{') => Err(String::new()),
            Err(error) => Err(format!(": {error}")),
        }
    }

    fn find(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find_map(|(given, raw)| (given == name).then_some(*raw))
    }
}

/// Keeps each member's text as it is. Of a member that stands there twice, clients mean different ones (RFC 8259 §4), so
/// it is refused.
impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some((Name(name), raw)) = map.next_entry()? {
                    if members.iter().any(|(given, _)| *given == name) {
                        let name: String = name.chars().take(50).collect();
                        return Err(A::Error::custom(format_args!("the member {name:?} stands there twice")));
                    }
                    if members.len() == MAX_MEMBERS {
                        return Err(A::Error::custom(format_args!("it has more than {MAX_MEMBERS} members")));
                    }
                    members.push((name, raw));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(MembersVisitor).map(Members)
    }
}

/// No route knows more than a handful; a bound keeps the search for repeated ones short.
const MAX_MEMBERS: usize = 100;

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn has_json_type(request: &Request) -> bool {
    let mut types = request.headers.get_all(CONTENT_TYPE).iter();
    let Some(content_type) = types.next() else { return true };
    let Ok(content_type) = content_type.to_str() else {
        return false;
    };
    let content_type = content_type.to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let is_json =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    let is_utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "utf8"),
        _ => true,
    });
    is_json && is_utf8 && types.next().is_none()
}
