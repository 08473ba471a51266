//! Spans of time in whole nanoseconds.

use super::{UnitError, decimal::decimal, serde_as_text};
use std::{fmt, str::FromStr};

/// A span of time in nanoseconds, at most 584 years. Text: `10s`, `250ms`, `1m30s`. Arithmetic saturates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

/// The units, longest first: nanoseconds, and how people write them. The first way is the one that is printed.
const UNITS: [(u64, &[&str]); 6] = [
    (3_600_000_000_000, &["h", "hr", "hrs", "hour", "hours"]),
    (60_000_000_000, &["m", "min", "mins", "minute", "minutes"]),
    (1_000_000_000, &["s", "sec", "secs", "second", "seconds"]),
    (1_000_000, &["ms", "msec", "msecs", "millisecond", "milliseconds"]),
    (1_000, &["us", "\u{b5}s", "usec", "usecs", "microsecond", "microseconds"]),
    (1, &["ns", "nsec", "nsecs", "nanosecond", "nanoseconds"]),
];

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
        let grammar = "<number>(ns|us|ms|s|m|h), parts may follow each other, less than 584 years in all";
        parse(text.trim()).ok_or_else(|| UnitError::new(text, "a time", grammar, "1m30s"))
    }
}

/// The sum of the parts, of which each has a shorter unit than the one before; the last alone may have a fraction.
fn parse(text: &str) -> Option<Nanos> {
    let (mut rest, mut sum_ns, mut units) = (text, 0u64, UNITS.iter());
    loop {
        let (number, behind) = split(rest, |letter| letter.is_ascii_digit() || letter == '.');
        let (name, behind) = split(behind.trim_start(), char::is_alphabetic);
        let (unit_ns, _) = units.find(|(_, names)| names.contains(&name))?;
        rest = behind.trim_start_matches([' ', ',']);
        let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
        if number.len() > whole.len() && !rest.is_empty() {
            return None;
        }
        let whole_ns = whole.parse::<u64>().ok()?.checked_mul(*unit_ns)?;
        sum_ns = sum_ns.checked_add(whole_ns)?.checked_add(fraction(tenths, *unit_ns)?)?;
        if rest.is_empty() {
            return behind.is_empty().then_some(Nanos(sum_ns));
        }
    }
}

/// `unit` times the decimal fraction with these digits, rounded down.
fn fraction(digits: &str, unit: u64) -> Option<u64> {
    let numerator: u32 = digits.parse().ok().filter(|_| digits.len() <= 9)?;
    let scale = 10u128.pow(u32::try_from(digits.len()).ok()?);
    u64::try_from(u128::from(numerator) * u128::from(unit) / scale).ok()
}

/// The part of `text` up to the first character that does not suit, and the rest.
fn split(text: &str, suits: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|letter| !suits(letter)).unwrap_or(text.len()))
}

impl fmt::Display for Nanos {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return out.write_str("0s");
        }
        let mut rest = self.0;
        for (factor, names) in UNITS {
            if rest >= factor {
                write!(out, "{}{}", rest / factor, names[0])?;
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
        assert_eq!("1 hour, 2 min 0.25 s".parse(), Ok(Nanos::from_ms(3_720_250)));
        assert_eq!("2\u{b5}s".parse(), Ok(Nanos(2_000)));
        assert_eq!("0.000000001s".parse(), Ok(Nanos(1)));
        assert_eq!("5124095h34m33s709ms551us615ns".parse(), Ok(Nanos(u64::MAX)));
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        let units = [
            "-1s", "10", "soon", "", "1.5m30s", "30s1m", "1s1s", "s", "1.s", ".5s", "1.2.3s", "1x", "1m 30",
            "1m,",
        ];
        let too_long = ["99999999999h", "9999999999999999999999s", "5124095h34m33s709ms551us616ns"];
        for text in units.into_iter().chain(too_long) {
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
        fn what_is_printed_parses_back(span: u64) {
            let span = Nanos(span);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = text.parse::<Nanos>();
        }
    }
}
