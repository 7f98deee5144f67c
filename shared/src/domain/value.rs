use serde::Serialize;
use serde_json::value::RawValue;

/// Any JSON value, kept as the text it was sent as: at most 256 KiB, at most 128 levels deep.
///
/// It is never parsed into a tree, which is what keeps every digit, the order and repetition of members, and escapes.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Value(Box<RawValue>);

/// Why a JSON text cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// More than 256 KiB of text.
    #[error("value must be at most {} bytes of JSON text", Value::MAX_BYTES)]
    TooLarge,
    /// More than 128 arrays and objects inside each other.
    #[error("value must be nested at most {} levels deep", Value::MAX_DEPTH)]
    TooDeep,
}

impl Value {
    /// Bytes of JSON text.
    pub const MAX_BYTES: usize = 256 * 1024;
    const MAX_DEPTH: usize = 128;

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Takes back a text that this type let out, such as a column of `data_store`.
    ///
    /// # Errors
    /// The text is no JSON, which means that something else wrote the column.
    pub fn from_stored(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }
}

impl TryFrom<&RawValue> for Value {
    type Error = InvalidValue;

    fn try_from(raw: &RawValue) -> Result<Self, InvalidValue> {
        if raw.get().len() > Self::MAX_BYTES {
            Err(InvalidValue::TooLarge)
        } else if depth(raw.get()) > Self::MAX_DEPTH {
            Err(InvalidValue::TooDeep)
        } else {
            Ok(Self(raw.to_owned()))
        }
    }
}

/// Levels of arrays and objects in a text that is known to be JSON. A loop, so that depth costs no stack.
fn depth(json: &str) -> usize {
    let (mut level, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' => level -= 1,
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<String, InvalidValue> {
        let raw: &RawValue = serde_json::from_str(json).expect("the test's own JSON");
        Value::try_from(raw).map(|value| value.as_str().to_owned())
    }

    #[test]
    fn every_kind_of_value_keeps_its_text() {
        for json in [
            "null",
            "false",
            "0",
            "-0",
            "\"\"",
            "1.10",
            "123456789012345678901234567890.000",
            "1e400",
            r#"{"b":1,"a":2,"b":3}"#,
            r#""\u0000\ud800\/""#,
            "[ 1 , 2 ]",
            "{}",
        ] {
            assert_eq!(parse(json).as_deref(), Ok(json));
        }
    }

    #[test]
    fn the_largest_value_has_256_kib_of_text() {
        let of_length = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        assert!(parse(&of_length(Value::MAX_BYTES)).is_ok());
        assert_eq!(parse(&of_length(Value::MAX_BYTES + 1)), Err(InvalidValue::TooLarge));
    }

    #[test]
    fn the_deepest_value_has_128_levels_and_brackets_in_strings_are_none() {
        let of_depth = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&of_depth(128)).is_ok());
        assert_eq!(parse(&of_depth(129)), Err(InvalidValue::TooDeep));
        assert_eq!(parse(&of_depth(100_000)), Err(InvalidValue::TooDeep));
        assert!(parse(&format!("\"\\\"{}\"", "[".repeat(1000))).is_ok());
    }
}
