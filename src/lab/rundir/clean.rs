//! JSON that somebody else wrote, read so that no text in it steers a terminal: the one place for all files of a run directory.

use crate::units::harmless;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a value. In its texts, names of fields included, characters that steer a terminal are replaced; newlines stay.
///
/// # Errors
/// Those of [`serde_json::from_slice`], with the line.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    let read = serde_json::from_slice(text)?;
    // JSON writes control characters as escapes; beyond ASCII there are some that it does not.
    if !text.iter().any(|byte| *byte == b'\\' || *byte >= 0x7f) {
        return Ok(read);
    }
    serde_json::from_value(cleaned(serde_json::from_slice(text)?))
}

fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(harmless(&text)),
        Value::Array(items) => items.into_iter().map(cleaned).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (harmless(&name), cleaned(value))).collect()
        }
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_and_no_name_of_a_field_steers_a_terminal_however_it_is_written() {
        let text = "{\"a\\u001b[2J\":[\"b\\u009b31m\\r\",{\"c\":\"d\u{9b}\u{202e}\u{7f}e\\nf\"}],\"n\":18446744073709551615}";
        let read: Value = from_slice(text.as_bytes()).unwrap();
        let expected = serde_json::json!({"a\u{fffd}[2J": ["b\u{fffd}31m\u{fffd}", {"c": "d\u{fffd}\u{fffd}\u{fffd}e\nf"}],
            "n": u64::MAX});
        assert_eq!(read, expected);
        assert_eq!(from_slice::<Value>(b"{\n\"a\": \\u001b}").unwrap_err().line(), 2);
    }
}
