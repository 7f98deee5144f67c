use serde::Serialize;
use serde_json::value::RawValue;

/// A JSON value as text: at most 256 KiB and 128 levels.
///
/// It is never parsed into a tree, so digits, member order, repeated members, and escapes are kept.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Value(Box<RawValue>);

/// The reason why a JSON value is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// It has more than 256 KiB.
    #[error("value must be at most {} bytes of JSON text", Value::MAX_BYTES)]
    TooLarge,
    /// It has more than 128 nested arrays and objects.
    #[error("value must be nested at most {} levels deep", Value::MAX_DEPTH)]
    TooDeep,
}

impl Value {
    /// Maximum bytes of JSON text.
    pub const MAX_BYTES: usize = 256 * 1024;
    const MAX_DEPTH: usize = 128;

    /// Returns the JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Wraps a stored text.
    ///
    /// # Errors
    /// The text is not JSON.
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

/// Returns the number of levels of a valid JSON text. It does not recurse, so deep nesting cannot overflow the stack.
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
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        Value::try_from(raw).map(|value| value.as_str().to_owned())
    }

    #[test]
    fn every_type_of_value_keeps_its_text() {
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
    fn the_deepest_value_has_128_levels_and_brackets_in_strings_do_not_count() {
        let of_depth = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&of_depth(128)).is_ok());
        assert_eq!(parse(&of_depth(129)), Err(InvalidValue::TooDeep));
        assert_eq!(parse(&of_depth(100_000)), Err(InvalidValue::TooDeep));
        assert!(parse(&format!("\"\\\"{}\"", "[".repeat(1000))).is_ok());
    }
}
