//! What one visit does to its page: whether it keeps a stamp, and how much it writes.

use crate::units::{PAGE_BYTES, UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// Something that is on or off. Text: `on`, `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OnOff(pub bool);

impl FromStr for OnOff {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "on" => Ok(Self(true)),
            "off" => Ok(Self(false)),
            _ => Err(UnitError::new(text, "a switch", "on or off", "off")),
        }
    }
}

impl fmt::Display for OnOff {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0 { "on" } else { "off" })
    }
}

serde_as_text!(OnOff);

/// How much of a page a visit writes, in bytes. Text: `8`, `256`, `page`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriteSize(u64);

impl WriteSize {
    /// A single word.
    pub const WORD: Self = Self(8);

    /// Whole words: 8 to 4096.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for WriteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bytes = if text == "page" { Some(PAGE_BYTES) } else { text.parse().ok() };
        let whole = |bytes: &u64| (8..=PAGE_BYTES).contains(bytes) && bytes.is_multiple_of(8);
        let error = || {
            UnitError::new(
                text,
                "a size of a write",
                "whole words (a multiple of 8 from 8 to 4096) or page",
                "64",
            )
        };
        bytes.filter(whole).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for WriteSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == PAGE_BYTES { out.write_str("page") } else { self.0.fmt(out) }
    }
}

serde_as_text!(WriteSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_parses_back() {
        for text in ["on", "off"] {
            assert_eq!(text.parse::<OnOff>().unwrap().to_string(), text);
        }
        for bytes in (8..=4096).step_by(8) {
            let size: WriteSize = bytes.to_string().parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().parse()), (bytes, Ok(size)));
        }
        assert_eq!("page".parse(), Ok(WriteSize(4096)));
    }

    #[test]
    fn what_is_neither_is_repeated_with_the_way_out() {
        for text in ["0", "7", "12", "4104", "-8", "all", ""] {
            let message = text.parse::<WriteSize>().unwrap_err().to_string();
            assert!(message.contains(&format!("'{text}'")) && message.contains("4096"), "{message}");
        }
        assert!("maybe".parse::<OnOff>().unwrap_err().to_string().contains("on or off"));
    }
}
