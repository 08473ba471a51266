//! When visits are due, and what becomes of those that a stall delayed.

use crate::units::{Nanos, UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// When visits are due. Text: `constant`, `poisson`, `burst:200ms/800ms`.
///
/// The mean rate is the one asked for, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PaceSpec {
    /// At equal distances.
    #[default]
    Constant,
    /// At seeded random times: a Poisson process.
    Poisson,
    /// At equal distances during `on`, so much denser that the rate is the mean over both; not at all during `off`.
    Burst {
        /// How long visits are due, 1 ms to 1 h.
        on: Nanos,
        /// How long none is due, 1 ms to 1 h.
        off: Nanos,
    },
}

/// What becomes of visits that a stall delayed. Text: `repay`, `shed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BacklogPolicy {
    /// They are caught up with.
    #[default]
    Repay,
    /// They are given up when they are more than 10 ms late, and counted as missed.
    Shed,
}

/// How many times faster than its schedule a writer catches up, unless something else is asked for.
pub(super) const CATCH_UP: u32 = 4;
/// The most that can be asked for.
pub(super) const CATCH_UP_CEILING: u32 = 100;
/// What ON and OFF of a burst may be.
const BURST_SPAN: std::ops::RangeInclusive<Nanos> = Nanos::from_ms(1)..=Nanos::from_secs(3600);

/// What a record says of it that is older than the choice.
pub(super) const fn catch_up() -> u32 {
    CATCH_UP
}

impl FromStr for PaceSpec {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse(text).ok_or_else(|| {
            UnitError::new(
                text,
                "a pace",
                "constant, poisson or burst:ON/OFF with times from 1ms to 1h",
                "burst:200ms/800ms",
            )
        })
    }
}

fn parse(text: &str) -> Option<PaceSpec> {
    match text {
        "constant" => return Some(PaceSpec::Constant),
        "poisson" => return Some(PaceSpec::Poisson),
        _ => {}
    }
    let (on, off) = text.strip_prefix("burst:")?.split_once('/')?;
    let span = |text: &str| text.parse().ok().filter(|span| BURST_SPAN.contains(span));
    Some(PaceSpec::Burst { on: span(on)?, off: span(off)? })
}

impl fmt::Display for PaceSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => out.write_str("constant"),
            Self::Poisson => out.write_str("poisson"),
            Self::Burst { on, off } => write!(out, "burst:{on}/{off}"),
        }
    }
}

impl FromStr for BacklogPolicy {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "repay" => Ok(Self::Repay),
            "shed" => Ok(Self::Shed),
            _ => Err(UnitError::new(text, "a backlog policy", "repay or shed", "shed")),
        }
    }
}

impl fmt::Display for BacklogPolicy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Repay => "repay",
            Self::Shed => "shed",
        })
    }
}

serde_as_text!(PaceSpec);
serde_as_text!(BacklogPolicy);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pace_and_policy_prints_as_it_is_written() {
        for text in ["constant", "poisson", "burst:200ms/800ms", "burst:1m30s/1h"] {
            assert_eq!(text.parse::<PaceSpec>().unwrap().to_string(), text);
        }
        for text in ["repay", "shed"] {
            assert_eq!(text.parse::<BacklogPolicy>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_pace_is_answered_with_the_grammar() {
        for text in
            ["", "steady", "burst", "burst:1s", "burst:1/2", "burst:0s/1s", "burst:1s/0s", "burst:2h/1s"]
        {
            let message = text.parse::<PaceSpec>().unwrap_err().to_string();
            assert!(message.contains(&format!("'{text}'")) && message.contains("burst:ON/OFF"), "{message}");
        }
        let message = "drop".parse::<BacklogPolicy>().unwrap_err().to_string();
        assert!(message.contains("'drop'") && message.contains("repay or shed"), "{message}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(burst:)?.{0,40}") {
            let _ = text.parse::<PaceSpec>();
        }
    }
}
