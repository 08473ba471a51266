//! In which order the pages of a region are visited.

use crate::units::{UnitError, serde_as_text};
use std::{fmt, str::FromStr};

/// The order of visits. Text: `sequential`, `shuffle`, `random`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatternSpec {
    /// Page after page, and from the start again.
    Sequential,
    /// Every page once per lap, in a seeded pseudo-random order.
    Shuffle,
    /// Any page at any time: uniform, with replacement.
    Random,
}

impl PatternSpec {
    const NAMES: [(Self, &'static str); 3] =
        [(Self::Sequential, "sequential"), (Self::Shuffle, "shuffle"), (Self::Random, "random")];
}

impl FromStr for PatternSpec {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let known = Self::NAMES.iter().find(|(_, name)| *name == text);
        known
            .map(|(spec, _)| *spec)
            .ok_or_else(|| UnitError::new(text, "a pattern", "sequential, shuffle or random", "shuffle"))
    }
}

impl fmt::Display for PatternSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::NAMES.iter().find(|(spec, _)| spec == self);
        out.write_str(known.map_or("", |(_, name)| name))
    }
}

serde_as_text!(PatternSpec);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_parses_from_its_own_name() {
        for (spec, name) in PatternSpec::NAMES {
            assert_eq!(name.parse(), Ok(spec));
            assert_eq!(spec.to_string(), name);
        }
    }

    #[test]
    fn an_unknown_pattern_is_answered_with_the_known_ones() {
        let message = "zigzag".parse::<PatternSpec>().unwrap_err().to_string();
        assert!(
            message.contains("'zigzag'") && message.contains("sequential, shuffle or random"),
            "{message}"
        );
    }
}
