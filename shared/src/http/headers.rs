//! Headers of requests and responses. The maps of the crate `http` are not used: they hash each name and parse each value,
//! and functions read few of them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The headers of a request that functions read. The others are dropped.
#[derive(Debug, Default)]
pub(crate) struct Headers(Vec<(&'static str, String)>);

impl Headers {
    /// The names in lower case.
    const NAMES: [&'static str; 13] = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-encoding",
        "content-type",
        "if-match",
        "if-none-match",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-amzn-trace-id",
        "x-forwarded-for",
        "x-forwarded-proto",
    ];

    /// Returns the values of all headers with a name in lower case, which must be one of [`Self::NAMES`]. A value that is
    /// not visible ASCII, spaces, and tabs is none. The gateway may have joined repeated headers by commas.
    pub(crate) fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = Option<&'a str>> {
        debug_assert!(Self::NAMES.contains(&name), "add {name} to Headers::NAMES");
        let is_text = |value: &str| value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        let values = self.0.iter().filter(move |(other, _)| *other == name);
        values.map(move |(_, value)| Some(value.as_str()).filter(|value| is_text(value)))
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// A name is compared with [`Headers::NAMES`] in place.
        struct Named(Option<&'static str>);

        impl<'de> Deserialize<'de> for Named {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct NameVisitor;

                impl Visitor<'_> for NameVisitor {
                    type Value = Named;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("the name of a header")
                    }

                    fn visit_str<E>(self, name: &str) -> Result<Named, E> {
                        Ok(Named(Headers::NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name))))
                    }
                }

                deserializer.deserialize_str(NameVisitor)
            }
        }

        struct HeadersVisitor;

        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::with_capacity(4);
                while let Some(Named(name)) = members.next_key()? {
                    match name {
                        Some(name) => headers.push((name, members.next_value()?)),
                        None => drop(members.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_map(HeadersVisitor)
    }
}

/// The headers of a response, by names in lower case.
#[derive(Debug, Default)]
pub struct ResponseHeaders(Vec<(&'static str, Cow<'static, str>)>);

impl ResponseHeaders {
    /// Returns the names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// Adds a header, or replaces the one with this name.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, value.into()));
    }

    /// Adds a header unless one has this name.
    pub(super) fn set_default(&mut self, name: &'static str, value: &'static str) {
        if self.0.iter().all(|(other, _)| *other != name) {
            self.0.push((name, value.into()));
        }
    }
}

impl Serialize for ResponseHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
