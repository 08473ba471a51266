//! Spans of time in whole nanoseconds.

use super::{UnitError, decimal::decimal, serde_as_text};
use jiff::SignedDuration;
use std::{fmt, str::FromStr};

/// A span of time in nanoseconds, at most 584 years. Text: `10s`, `250ms`, `1m30s`. Arithmetic saturates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

impl Nanos {
    /// `n` milliseconds.
    pub const fn from_ms(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000))
    }

    /// `n` seconds.
    pub const fn from_secs(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000_000))
    }

    /// In seconds, for people and for ratios.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// In milliseconds, for people and for ratios.
    pub fn as_ms_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// For people: three figures and a fitting unit (`2.31 ms`). Not meant to be parsed back.
    pub fn human(self) -> String {
        let (factor, unit) = match self.0 {
            0..1_000 => return format!("{} ns", self.0),
            1_000..1_000_000 => (1_000, "µs"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let decimals = match self.0 / factor {
            0..10 => 2,
            10..100 => 1,
            _ => 0,
        };
        format!("{} {unit}", decimal(self.0, factor, decimals))
    }
}

impl From<Nanos> for std::time::Duration {
    fn from(span: Nanos) -> Self {
        Self::from_nanos(span.0)
    }
}

impl FromStr for Nanos {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || {
            let grammar = "<number>(ns|us|ms|s|m|h), parts may follow each other, less than 584 years in all";
            UnitError::new(text, "a time", grammar, "1m30s")
        };
        let span: SignedDuration = text.trim().parse().map_err(|_| error())?;
        u64::try_from(span.as_nanos()).map(Self).map_err(|_| error())
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 6] = [
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
            (1, "ns"),
        ];
        if self.0 == 0 {
            return out.write_str("0s");
        }
        let mut rest = self.0;
        for (factor, unit) in UNITS {
            if rest >= factor {
                write!(out, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

serde_as_text!(Nanos);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_read_as_people_write_them() {
        assert_eq!("10s".parse(), Ok(Nanos::from_secs(10)));
        assert_eq!("250ms".parse(), Ok(Nanos::from_ms(250)));
        assert_eq!("1m30s".parse(), Ok(Nanos::from_secs(90)));
        assert_eq!("1.5s".parse(), Ok(Nanos::from_ms(1500)));
    }

    #[test]
    fn negative_and_bare_numbers_are_refused_with_an_example() {
        for text in ["-1s", "10", "soon", "", "99999999999h", "9999999999999999999999s"] {
            let message = text.parse::<Nanos>().unwrap_err().to_string();
            assert!(
                message.contains(&format!("'{text}'"))
                    && message.contains("584 years")
                    && message.contains("1m30s"),
                "{message}"
            );
        }
    }

    #[test]
    fn people_see_three_figures() {
        assert_eq!(Nanos(999).human(), "999 ns");
        assert_eq!(Nanos(2_310_000).human(), "2.31 ms");
        assert_eq!(Nanos(12_500_000_000).human(), "12.5 s");
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(span in 0..=i64::MAX.unsigned_abs()) {
            let span = Nanos(span);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = text.parse::<Nanos>();
        }
    }
}
