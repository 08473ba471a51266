//! Which clock stamps visits: left to the program, or insisted on.

use crate::units::{UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// The clock that stamps visits. Text: `auto`, `tsc`, `monotonic`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClockChoice {
    /// The CPU's counter where CPU and kernel vouch for it, CLOCK_MONOTONIC elsewhere.
    #[default]
    Auto,
    /// The CPU's counter, whoever distrusts it. It is watched all the same.
    Tsc,
    /// CLOCK_MONOTONIC.
    Monotonic,
}

impl ClockChoice {
    const NAMES: [(Self, &'static str); 3] =
        [(Self::Auto, "auto"), (Self::Tsc, "tsc"), (Self::Monotonic, "monotonic")];
}

impl FromStr for ClockChoice {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let known = Self::NAMES.iter().find(|(_, name)| *name == text).map(|(choice, _)| *choice);
        known.ok_or_else(|| UnitError::new(text, "a clock", "auto, tsc or monotonic", "tsc"))
    }
}

impl fmt::Display for ClockChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::NAMES.iter().find(|(choice, _)| choice == self);
        out.write_str(known.map_or("", |(_, name)| name))
    }
}

serde_as_text!(ClockChoice);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_parses_and_prints() {
        for (choice, name) in ClockChoice::NAMES {
            assert_eq!((name.parse(), choice.to_string().as_str()), (Ok(choice), name));
        }
    }

    #[test]
    fn what_is_none_is_answered_with_those_there_are() {
        for text in ["TSC", "hpet", ""] {
            let message = text.parse::<ClockChoice>().unwrap_err().to_string();
            let is_said =
                message.contains(&format!("'{text}'")) && message.contains("auto, tsc or monotonic");
            assert!(is_said, "{message}");
        }
    }
}
