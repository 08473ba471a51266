//! In which order the pages of a region are visited.

use super::{Hotspot, Theta};
use crate::units::{UnitError, serde_as_text};
use std::{fmt, num::NonZeroU64, str::FromStr};

/// The order of visits. Text: `sequential`, `shuffle`, `random`, `zipf:0.99`, `hotspot:10%/90%`, `stride:512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatternSpec {
    /// Page after page, and from the start again.
    Sequential,
    /// Every page once per lap, in a seeded pseudo-random order.
    Shuffle,
    /// Any page at any time: uniform, with replacement.
    Random,
    /// Any page at any time, by Zipf's law; which page has which rank is seeded.
    Zipf(Theta),
    /// Any page at any time, those of the hot set more often.
    Hotspot(Hotspot),
    /// Every so-manyth page; each lap begins one page later than the lap before.
    Stride(NonZeroU64),
}

/// The patterns that a name alone tells.
const NAMES: [(PatternSpec, &str); 3] = [
    (PatternSpec::Sequential, "sequential"),
    (PatternSpec::Shuffle, "shuffle"),
    (PatternSpec::Random, "random"),
];

impl FromStr for PatternSpec {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = |grammar, example| UnitError::new(text, "a pattern", grammar, example);
        let Some((kind, value)) = text.split_once(':') else {
            let known = NAMES.iter().find(|(_, name)| *name == text);
            return known.map(|(spec, _)| *spec).ok_or_else(|| error(ALL, "shuffle"));
        };
        match kind {
            "zipf" => value.parse().map(Self::Zipf).map_err(|_| error(ZIPF, "zipf:0.99")),
            "hotspot" => value.parse().map(Self::Hotspot).map_err(|_| error(HOTSPOT, "hotspot:10%/90%")),
            "stride" => stride(value).map(Self::Stride).ok_or_else(|| error(STRIDE, "stride:512")),
            _ => Err(error(ALL, "zipf:0.99")),
        }
    }
}

const ALL: &str =
    "sequential, shuffle, random, zipf:THETA, hotspot:PAGES%/WRITES%[/DRIFTp/s] or stride:PAGES";
const ZIPF: &str = "zipf:THETA, THETA from 0.001 to 10 with at most three decimals";
const HOTSPOT: &str = "hotspot:PAGES%/WRITES%[/DRIFTp/s], PAGES above 0%, DRIFT at most 1000000000";
const STRIDE: &str = "stride:PAGES, PAGES a whole number from 1";

fn stride(text: &str) -> Option<NonZeroU64> {
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for PatternSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequential => out.write_str("sequential"),
            Self::Shuffle => out.write_str("shuffle"),
            Self::Random => out.write_str("random"),
            Self::Zipf(theta) => write!(out, "zipf:{theta}"),
            Self::Hotspot(hotspot) => write!(out, "hotspot:{hotspot}"),
            Self::Stride(pages) => write!(out, "stride:{pages}"),
        }
    }
}

serde_as_text!(PatternSpec);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Share;
    use proptest::prelude::*;

    #[test]
    fn every_plain_pattern_parses_from_its_own_name() {
        for (spec, name) in NAMES {
            assert_eq!(name.parse(), Ok(spec));
            assert_eq!(spec.to_string(), name);
        }
    }

    #[test]
    fn an_unknown_pattern_is_answered_with_the_known_ones() {
        for text in ["zigzag", "zigzag:3", "zipf", "shuffle:", ""] {
            let message = text.parse::<PatternSpec>().unwrap_err().to_string();
            assert!(message.contains(&format!("'{text}'")), "{message}");
            assert!(message.contains("shuffle, random, zipf:THETA"), "{message}");
        }
    }

    #[test]
    fn a_wrong_value_is_answered_with_what_that_pattern_takes() {
        for (text, said) in [
            ("zipf:0", "zipf:0.99"),
            ("zipf:1.2345", "three decimals"),
            ("hotspot:10/90", "hotspot:10%/90%"),
            ("hotspot:0%/90%", "above 0%"),
            ("stride:0", "from 1"),
            ("stride:-1", "stride:512"),
            ("stride:", "stride:512"),
        ] {
            let message = text.parse::<PatternSpec>().unwrap_err().to_string();
            assert!(message.contains(&format!("'{text}'")) && message.contains(said), "{message}");
        }
    }

    fn any_spec() -> impl Strategy<Value = PatternSpec> {
        let share = |from| (from..=1_000_000u32).prop_map(Share::from_millionths);
        let hotspot = (share(1), share(0), 0..=1_000_000_000u64);
        prop_oneof![
            prop::sample::select(NAMES.map(|(spec, _)| spec).to_vec()),
            (1..=10_000u32).prop_map(|theta| PatternSpec::Zipf(Theta::from_thousandths(theta).unwrap())),
            hotspot.prop_map(|(pages, writes, drift_pages_per_s)| {
                PatternSpec::Hotspot(Hotspot { pages, writes, drift_pages_per_s })
            }),
            any::<NonZeroU64>().prop_map(PatternSpec::Stride),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(spec in any_spec()) {
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }

        #[test]
        fn no_text_panics(text in "(zipf:|hotspot:|stride:|)[0-9.%/ps-]{0,20}|.{0,40}") {
            let _ = text.parse::<PatternSpec>();
        }
    }
}
