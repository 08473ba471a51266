//! When visits are due, and what becomes of those that a stall delayed.

use crate::units::{Nanos, Rate, UnitError, serde_as_text};
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
const CATCH_UP_CEILING: u32 = 100;
/// What ON and OFF of a burst may be.
const BURST_SPAN: std::ops::RangeInclusive<Nanos> = Nanos::from_ms(1)..=Nanos::from_secs(3600);

/// What is wrong with a pace or a catch-up factor, and the remedy of each fault; `key` spells an option: `--pace `,
/// `load.pace = `.
pub(crate) fn faults(
    rate: Rate,
    pace: PaceSpec,
    catch_up: u32,
    key: fn(&str) -> String,
) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    if rate == Rate::Max && pace != PaceSpec::Constant {
        faults.push((
            format!("{}{pace} needs a rate to keep: {}max has no schedule", key("pace"), key("rate")),
            format!("give a rate such as {}100M/s, or leave the pace out", key("rate")),
        ));
    }
    if !(1..=CATCH_UP_CEILING).contains(&catch_up) {
        faults.push((
            format!("{}{catch_up} cannot be: it is 1 to {CATCH_UP_CEILING}", key("catch-up")),
            format!("{}1 never catches up, {CATCH_UP} is usual", key("catch-up")),
        ));
    }
    faults
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

    #[test]
    fn a_pace_without_a_rate_and_a_factor_out_of_range_are_refused() {
        let key = |name: &str| format!("--{name} ");
        let found = |rate, catch_up| faults(rate, PaceSpec::Poisson, catch_up, key).len();
        assert_eq!((found(Rate::Max, 0), found(Rate::Max, 4)), (2, 1));
        assert_eq!((found(Rate::PagesPerSecond(0), 101), found(Rate::PagesPerSecond(5), 100)), (1, 0));
        assert!(faults(Rate::Max, PaceSpec::Constant, 1, key).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(burst:)?.{0,40}") {
            let _ = text.parse::<PaceSpec>();
        }
    }
}
