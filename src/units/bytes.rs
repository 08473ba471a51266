//! Sizes in bytes, written as QEMU and the kernel write them: `512M` is 512 MiB.

use super::{UnitError, decimal::decimal, serde_as_text};
use std::{fmt, str::FromStr};

/// A number of bytes. Text: `<number>[K|M|G|T]`, binary multiples, for example `512M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The units a size is printed in, largest first.
    const UNITS: [(u64, &'static str); 4] = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];

    /// `n` times 1024 · 1024 bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// For people: at most one decimal, always with a unit (`95.4 MiB`). Not meant to be parsed back.
    pub fn human(self) -> String {
        for (factor, unit) in Self::UNITS {
            if self.0 >= factor {
                return format!("{} {unit}iB", decimal(self.0, factor, 1));
            }
        }
        format!("{} B", self.0)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::new(text, "a size", "<number>[K|M|G|T] with M = 1024 * 1024 bytes", "512M");
        let trimmed = text.trim();
        if !trimmed.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(error());
        }
        let config = parse_size::Config::new().with_binary();
        config.parse_size(trimmed).map(Self).map_err(|_| error())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (factor, unit) in Self::UNITS {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(out, "{}{unit}", self.0 / factor);
            }
        }
        write!(out, "{}", self.0)
    }
}

serde_as_text!(ByteSize);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_binary_as_in_qemu() {
        assert_eq!("512M".parse(), Ok(ByteSize::mib(512)));
        assert_eq!("4G".parse(), Ok(ByteSize::mib(4096)));
        assert_eq!("524296K".parse(), Ok(ByteSize(524_296 * 1024)));
    }

    #[test]
    fn an_error_repeats_the_input_and_shows_the_way_out() {
        let message = "lots".parse::<ByteSize>().unwrap_err().to_string();
        assert!(message.contains("'lots'") && message.contains("512M"), "{message}");
        assert!("-5M".parse::<ByteSize>().is_err());
        assert!("".parse::<ByteSize>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(bytes in any::<u64>()) {
            let size = ByteSize(bytes);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = text.parse::<ByteSize>();
        }
    }
}
