//! How often canaries wake, or that there are none.

use crate::units::{Nanos, UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// How often each canary wakes; none for no canaries. Text: `off` or a time, `10ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanaryPeriod(Option<Nanos>);

impl CanaryPeriod {
    /// The usual one, which is also the shortest. No small multiple of it is a whole number of ms, as the stops of a throttle often are.
    pub const USUAL_NS: u64 = 987_000;
    /// One that wakes less often tells nothing that a migration is about.
    const LONGEST: Nanos = Nanos::from_ms(100);

    /// In ns.
    pub fn ns(self) -> Option<u64> {
        self.0.map(|period| period.0)
    }

    /// How many canaries so many CPUs have.
    pub(super) const fn of(self, cpus: u32) -> u32 {
        if self.0.is_some() { cpus } else { 0 }
    }
}

impl Default for CanaryPeriod {
    fn default() -> Self {
        Self(Some(Nanos(Self::USUAL_NS)))
    }
}

impl FromStr for CanaryPeriod {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "off" {
            return Ok(Self(None));
        }
        let period =
            text.parse().ok().filter(|period| (Nanos(Self::USUAL_NS)..=Self::LONGEST).contains(period));
        let error = || UnitError::new(text, "a canary's period", "off, or a time of 987us to 100ms", "10ms");
        period.map(|period| Self(Some(period))).ok_or_else(error)
    }
}

impl fmt::Display for CanaryPeriod {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(period) => period.fmt(out),
            None => out.write_str("off"),
        }
    }
}

serde_as_text!(CanaryPeriod);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for (text, ns) in [
            ("987us", Some(987_000)),
            ("10ms", Some(10_000_000)),
            ("100ms", Some(100_000_000)),
            ("off", None),
        ] {
            let period: CanaryPeriod = text.parse().unwrap();
            assert_eq!((period.ns(), period.to_string().as_str()), (ns, text));
        }
        assert_eq!(CanaryPeriod::default().to_string(), "987us");
    }

    #[test]
    fn what_cannot_be_is_answered_with_what_can() {
        for text in ["0s", "986us", "101ms", "on", "10", ""] {
            let message = text.parse::<CanaryPeriod>().unwrap_err().to_string();
            assert!(
                message.contains(&format!("'{text}'"))
                    && message.contains("off, or a time of 987us to 100ms"),
                "{message}"
            );
        }
    }
}
