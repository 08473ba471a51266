//! The words every other module counts in: bytes, pages, rates, nanoseconds, shares.
//!
//! Each type parses (`FromStr`) and prints (`Display`) itself, and what it prints parses back to the same value.
//! A text that does not parse is answered with the text itself, the grammar and an example.

mod below;
mod bytes;
mod decimal;
mod nanos;
mod page;
mod rate;
mod share;

pub use below::{below, below_and_rest};
pub use bytes::ByteSize;
pub use decimal::{decimal, figure};
pub use nanos::Nanos;
pub use page::{PAGE_BYTES, PAGE_WORDS, PageCount, PageIndex};
pub use rate::Rate;
pub use share::Share;

/// A text that is not a value of the unit it was given for.
///
/// Prints as one sentence: what was given, what is expected, an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{input}' is not {what}: expected {grammar}, for example {example}")]
pub struct UnitError {
    /// What was given, shortened when very long.
    pub input: String,
    /// What it should have been: `a size`, `a rate`.
    pub what: &'static str,
    /// The accepted form.
    pub grammar: &'static str,
    /// A text that would have been accepted.
    pub example: &'static str,
}

impl UnitError {
    /// The longest part of an input that an error repeats, in characters.
    const SHOWN_CHARS: usize = 60;

    pub(crate) fn new(input: &str, what: &'static str, grammar: &'static str, example: &'static str) -> Self {
        let mut shown: String = input.chars().take(Self::SHOWN_CHARS).map(printable).collect();
        if input.chars().count() > Self::SHOWN_CHARS {
            shown.push('…');
        }
        Self { input: shown, what, grammar, example }
    }
}

/// A whole number of at most `most`; `what` it should be, its grammar and an example where the text is none.
///
/// # Errors
/// When the text is no such number.
pub fn whole(text: &str, most: u64, [what, grammar, example]: [&'static str; 3]) -> Result<u64, UnitError> {
    let number = text.trim().parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| UnitError::new(text, what, grammar, example))
}

/// Whether a character steers a terminal or turns the text around it (Unicode's control characters and its bidirectional marks).
fn steers(character: char) -> bool {
    let turns = matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || character.is_control()
}

/// The character, or U+FFFD for one that steers a terminal: such must not reach it through an error message.
pub fn printable(character: char) -> char {
    if steers(character) { '\u{fffd}' } else { character }
}

/// A text that somebody else chose, fit to print: characters that steer a terminal are replaced, newlines stay.
pub fn harmless(text: &str) -> String {
    text.chars().map(|character| if character == '\n' { '\n' } else { printable(character) }).collect()
}

/// At most so many characters of a text that somebody else chose, those that steer a terminal left out.
pub fn shown(text: &str, chars: usize) -> String {
    text.chars().filter(|character| !steers(*character)).take(chars).collect()
}

/// Lets a type with `FromStr` and `Display` travel in JSON and TOML as its text, and says so in a schema.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "host")]
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    };
}
pub(crate) use serde_as_text;
