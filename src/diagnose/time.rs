//! The time of canaries by class: what was lost and to whom.

use crate::record::GapClass;
use std::collections::BTreeMap;

/// Time by class in ns, sum over canaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeByClass([u64; GapClass::ALL.len()]);

impl TimeByClass {
    /// Adds `ns` to a class.
    pub fn add(&mut self, class: GapClass, ns: u64) {
        let sum = GapClass::ALL.iter().position(|other| *other == class).and_then(|at| self.0.get_mut(at));
        if let Some(sum) = sum {
            *sum = sum.saturating_add(ns);
        }
    }

    /// The classes that got more since it was `earlier`, in whole ms: over many spans nothing is lost to rounding.
    pub fn ms_since(&self, earlier: &Self) -> impl Iterator<Item = (GapClass, u64)> {
        let ms = self
            .0
            .into_iter()
            .zip(earlier.0)
            .map(|(now, then)| (now / 1_000_000).saturating_sub(then / 1_000_000));
        GapClass::ALL.into_iter().zip(ms).filter(|(_, ms)| *ms > 0)
    }

    /// The same by the names of the classes.
    pub fn named_ms_since(&self, earlier: &Self) -> BTreeMap<String, u64> {
        self.ms_since(earlier).map(|(class, ms)| (class.name().to_owned(), ms)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_less_than_a_ms_is_told_once_it_is_one() {
        let mut time = TimeByClass::default();
        let mut told = Vec::new();
        for ns in [600_000, 600_000, 300_000, 2_600_000] {
            let before = time;
            time.add(GapClass::VmPause, ns);
            told.extend(time.ms_since(&before));
        }
        assert_eq!(told, [(GapClass::VmPause, 1), (GapClass::VmPause, 3)]);
        assert_eq!(time.ms_since(&time).count(), 0);
    }
}
