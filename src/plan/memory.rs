//! How much memory is asked for: a size, or a share of what is available.

#[cfg(feature = "host")]
use crate::units::serde_as_text;
use crate::units::{ByteSize, Share, UnitError};
use std::{fmt, str::FromStr};

/// An amount of memory. Text: `512M`, or `75%` of the memory that is available when the run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryAmount {
    /// So many bytes.
    Bytes(ByteSize),
    /// This share of MemAvailable.
    OfAvailable(Share),
}

impl MemoryAmount {
    /// The bytes meant, when `available_bytes` are available.
    pub fn bytes(self, available_bytes: u64) -> u64 {
        match self {
            Self::Bytes(size) => size.0,
            Self::OfAvailable(share) => share.of(available_bytes),
        }
    }
}

impl FromStr for MemoryAmount {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.trim().ends_with('%') {
            text.parse().map(Self::OfAvailable)
        } else {
            text.parse().map(Self::Bytes)
        }
    }
}

impl fmt::Display for MemoryAmount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(size) => size.fmt(out),
            Self::OfAvailable(share) => share.fmt(out),
        }
    }
}

#[cfg(feature = "host")]
serde_as_text!(MemoryAmount);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_parse_and_print() {
        for text in ["512M", "75%", "12.5%"] {
            assert_eq!(text.parse::<MemoryAmount>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_share_is_of_what_is_available() {
        let amount: MemoryAmount = "50%".parse().unwrap();
        assert_eq!(amount.bytes(1 << 30), 1 << 29);
    }
}
