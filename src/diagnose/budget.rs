//! The time lost by class: cumulative sums in which no moment of a vCPU counts twice.

use crate::record::{Gap, GapClass, StallMs};

/// vCPU time lost by class since the beginning, sum over canaries.
///
/// Together with the time a vCPU ran they make up the time that passed: a gap begins no earlier than the one before it
/// on the same vCPU ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Budget {
    lost_ns: [u64; GapClass::ALL.len()],
    /// For each canary: its CPU, and where its last gap ended.
    told_ns: Vec<(u32, u64)>,
}

impl Budget {
    /// Adds a gap; those of one vCPU come in the order of their ends.
    pub fn add(&mut self, gap: &Gap) {
        let end_ns = gap.start_ns.saturating_add(gap.len_ns);
        let known = self.told_ns.iter().position(|(cpu, _)| *cpu == gap.cpu);
        let at = known.unwrap_or(self.told_ns.len());
        if known.is_none() {
            self.told_ns.push((gap.cpu, 0));
        }
        let told_ns = &mut self.told_ns[at].1;
        let own_ns = end_ns.saturating_sub(gap.start_ns.max(*told_ns));
        *told_ns = end_ns.max(*told_ns);
        self.add_ns(gap.class, own_ns);
    }

    /// Adds time of a class that is no gap's.
    pub fn add_ns(&mut self, class: GapClass, ns: u64) {
        let sum_ns = &mut self.lost_ns[class as usize];
        *sum_ns = sum_ns.saturating_add(ns);
    }

    /// The time of `class`, in ns.
    pub const fn of(&self, class: GapClass) -> u64 {
        self.lost_ns[class as usize]
    }

    /// What was lost since `earlier`, an older state of the same sums. Whole ms, and none is lost between intervals.
    pub fn since(&self, earlier: &Self) -> StallMs {
        let mut stalls = StallMs::default();
        for class in GapClass::ALL {
            let (now_ms, then_ms) = (self.of(class) / 1_000_000, earlier.of(class) / 1_000_000);
            stalls.add(class, now_ms.saturating_sub(then_ms));
        }
        stalls
    }
}
