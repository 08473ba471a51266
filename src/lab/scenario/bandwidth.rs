//! The speed of a link in bytes a second.

use crate::units::{ByteSize, UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// Bytes a second, more than none. Text: `30M/s` with M = 1024 * 1024 bytes, as QEMU counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bandwidth(pub u64);

impl FromStr for Bandwidth {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let size = text.trim().strip_suffix("/s").and_then(|size| size.parse::<ByteSize>().ok());
        size.filter(|size| size.0 > 0).map(|size| Self(size.0)).ok_or_else(|| {
            UnitError::new(text, "a bandwidth", "<number>[K|M|G]/s with M = 1024 * 1024 bytes", "30M/s")
        })
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/s", ByteSize(self.0))
    }
}

serde_as_text!(Bandwidth);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_link_that_moves_nothing_or_has_no_time_is_refused() {
        for text in ["0M/s", "30M", "fast", ""] {
            let message = text.parse::<Bandwidth>().unwrap_err().to_string();
            assert!(message.contains(&format!("'{text}'")) && message.contains("30M/s"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(bytes_per_s in 1u64..) {
            prop_assert_eq!(Bandwidth(bytes_per_s).to_string().parse(), Ok(Bandwidth(bytes_per_s)));
        }
    }
}
