//! JSON objects whose members keep their JSON text, so that values are stored as they were sent.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Maximum number of members. It limits the search for duplicates, which is quadratic; no route has more than ten
/// members.
const MAX_MEMBERS: usize = 100;
/// Maximum number of characters of a member's name in a message.
const QUOTED_CHARS: usize = 50;

/// The members of an object, each with its JSON text.
pub(super) struct JsonObject<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> JsonObject<'a> {
    /// Reads an object. An error is a suffix of the message "… must be a JSON object".
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(object) => Ok(object),
            // Without the library's message, which would quote the text.
            Err(_) if !text.trim_start().starts_with('{') => Err(String::new()),
            Err(error) => Err(format!(": {error}")),
        }
    }

    /// Returns the names of the members.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }

    /// Returns the JSON text of a member.
    pub(super) fn find(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find_map(|(given, raw)| (given == name).then_some(*raw))
    }
}

/// Rejects duplicate members, because implementations disagree about which one counts (RFC 8259 §4).
impl<'de: 'a, 'a> Deserialize<'de> for JsonObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some((Name(name), raw)) = map.next_entry()? {
                    if members.iter().any(|(given, _)| *given == name) {
                        let name: String = name.chars().take(QUOTED_CHARS).collect();
                        return Err(A::Error::custom(format_args!("the member {name:?} is given more than once")));
                    }
                    if members.len() == MAX_MEMBERS {
                        return Err(A::Error::custom(format_args!("it has more than {MAX_MEMBERS} members")));
                    }
                    members.push((name, raw));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(ObjectVisitor).map(JsonObject)
    }
}

/// The name of a member, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
