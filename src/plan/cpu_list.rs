//! CPUs by number: which ones writers are pinned to.

use crate::units::{UnitError, serde_as_text};
use std::{collections::BTreeSet, fmt, ops::RangeInclusive, str::FromStr};

/// CPUs by number, each once, in order. Text: `0`, `0,2-3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuList(Vec<u32>);

/// So many CPUs the kernel's set holds.
pub(super) const CPUS_CEILING: u32 = 1024;
const HIGHEST: u32 = CPUS_CEILING - 1;

impl CpuList {
    /// Of numbers that are in order, each once.
    pub(super) const fn of(cpus: Vec<u32>) -> Self {
        Self(cpus)
    }

    /// Their numbers; at least one.
    pub fn numbers(&self) -> &[u32] {
        &self.0
    }
}

impl FromStr for CpuList {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let number = |text: &str| text.trim().parse().ok().filter(|cpu| *cpu <= HIGHEST);
        let range = |part: &str| match part.split_once('-') {
            Some((from, to)) => Some(number(from)?..=number(to)?),
            None => number(part).map(|cpu| cpu..=cpu),
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        let cpus: BTreeSet<u32> = ranges
            .filter(|ranges| !ranges.iter().any(RangeInclusive::is_empty))
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        if cpus.is_empty() {
            let grammar = "numbers from 0 to 1023 and ranges of them, with commas between";
            return Err(UnitError::new(text, "a list of CPUs", grammar, "0,2-3"));
        }
        Ok(Self(cpus.into_iter().collect()))
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for run in self.0.chunk_by(|one, next| one + 1 == *next) {
            let (first, last) = (run[0], run[run.len() - 1]);
            match last - first {
                0 => write!(out, "{comma}{first}")?,
                _ => write!(out, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

serde_as_text!(CpuList);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_ranges_are_read_and_written_in_short() {
        for (text, written, numbers) in [
            ("0", "0", vec![0]),
            ("0, 2-3", "0,2-3", vec![0, 2, 3]),
            ("3,2,2,1", "1-3", vec![1, 2, 3]),
            ("1023", "1023", vec![1023]),
        ] {
            let list: CpuList = text.parse().unwrap();
            assert_eq!((list.numbers(), list.to_string().as_str()), (&numbers[..], written));
        }
    }

    #[test]
    fn what_names_no_cpu_is_repeated_with_the_way_out() {
        for text in ["", "x", "1024", "3-1", "0,", "-1", "0-2000000000"] {
            let message = text.parse::<CpuList>().unwrap_err().to_string();
            assert!(message.contains(&format!("'{text}'")) && message.contains("0,2-3"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(cpus in prop::collection::btree_set(0..=HIGHEST, 1..20)) {
            let list = CpuList(cpus.into_iter().collect());
            prop_assert_eq!(list.to_string().parse(), Ok(list));
        }
    }
}
