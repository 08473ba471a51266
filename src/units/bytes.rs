//! Sizes in bytes, written as QEMU and the kernel write them: `512M` is 512 MiB.

use super::{UnitError, decimal::decimal, serde_as_text};
use std::{fmt, str::FromStr};

/// A number of bytes. Text: `<number>[K|M|G|T]`, binary multiples, for example `512M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The units a size is printed in, largest first.
    const UNITS: [(u64, &'static str); 4] = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];

    /// So many digits fit in 64 bits whatever they are; beyond them parse-size rounds, and may round up to 0.
    const SAFE_DIGITS: usize = 19;

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
        let error = |what| UnitError::new(text, what, "<number>[K|M|G|T] with M = 1024 * 1024 bytes", "512M");
        let too_large = || error("a size of less than 2^64 bytes in at most 19 digits");
        let trimmed = text.trim();
        if !trimmed.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(error("a size"));
        }
        let digits = trimmed.bytes().filter(u8::is_ascii_digit).count();
        if digits == trimmed.len() {
            // Nothing else can be wrong with digits.
            return trimmed.parse().map(Self).map_err(|_| too_large());
        }
        if digits > Self::SAFE_DIGITS {
            return Err(too_large());
        }
        match parse_size::Config::new().with_binary().parse_size(trimmed) {
            Ok(bytes) => Ok(Self(bytes)),
            Err(parse_size::Error::PosOverflow) => Err(too_large()),
            Err(_) => Err(error("a size")),
        }
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

    #[test]
    fn no_size_rounds_over_the_edge_to_nothing() {
        assert_eq!("18446744073709551615".parse(), Ok(ByteSize(u64::MAX)));
        assert_eq!("1.5G".parse(), Ok(ByteSize::mib(1536)));
        for text in [
            "18446744073709551615.511",
            "184467440737095516159",
            "18446744073709551616",
            "18446744073709551615.9K",
        ] {
            let message = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(message.contains("less than 2^64 bytes") && message.contains(text), "{message}");
        }
        assert!("99999999999T".parse::<ByteSize>().unwrap_err().to_string().contains("2^64"));
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
