//! The time of canaries by class: what was lost and to whom, without counting any of it twice.

use super::classes::Verdict;
use crate::record::{Gap, GapClass};

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

    /// The classes that have any time, and it.
    pub fn lost(&self) -> impl Iterator<Item = (GapClass, u64)> {
        GapClass::ALL.into_iter().zip(self.0).filter(|(_, ns)| *ns > 0)
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

    /// What is left of `wall_ns` of each of `canaries`.
    pub fn running_ns(&self, wall_ns: u64, canaries: usize) -> u64 {
        let lost_ns = self.0.iter().fold(0u64, |sum, ns| sum.saturating_add(*ns));
        wall_ns.saturating_mul(canaries as u64).saturating_sub(lost_ns)
    }
}

/// The time that `gaps` took between `start_ns` and `end_ns`, by the class of their verdicts. Where two gaps of one
/// canary lie over each other, the one that begins first has the time.
pub fn time_by_class(gaps: &[Gap], verdicts: &[Verdict], (start_ns, end_ns): (u64, u64)) -> TimeByClass {
    let mut order: Vec<(&Gap, GapClass)> =
        gaps.iter().zip(verdicts).map(|(gap, verdict)| (gap, verdict.class)).collect();
    order.sort_by_key(|(gap, _)| (gap.cpu, gap.start_ns));
    let (mut time, mut cpu, mut told_ns) = (TimeByClass::default(), None, start_ns);
    for (gap, class) in order {
        if cpu.replace(gap.cpu) != Some(gap.cpu) {
            told_ns = start_ns;
        }
        let until_ns = gap.end_ns().min(end_ns);
        let from_ns = gap.start_ns.max(told_ns);
        time.add(class, until_ns.saturating_sub(from_ns));
        told_ns = told_ns.max(until_ns);
    }
    time
}
