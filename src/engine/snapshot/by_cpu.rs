//! What each vCPU lost.

use crate::{
    diagnose::TimeByClass,
    record::{CpuInterval, MOST_CPUS},
};

/// What one canary has counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CpuCounts {
    pub(super) cpu: u32,
    /// The length of all its gaps.
    pub(super) gap_ns: u64,
    /// Those that were judged.
    pub(super) lost: TimeByClass,
}

impl CpuCounts {
    /// What it lost since `earlier`; none where that is nothing.
    fn since(&self, earlier: &Self) -> Option<CpuInterval> {
        let gap_ns = self.gap_ns.saturating_sub(earlier.gap_ns);
        let stall_ms = self.lost.named_ms_since(&earlier.lost);
        (gap_ns > 0 || !stall_ms.is_empty()).then_some(CpuInterval { cpu: self.cpu, gap_ns, stall_ms })
    }
}

/// What vCPUs lost between two moments, those that lost anything, and how many more than a record may tell of lost something.
pub(super) fn since(now: &[CpuCounts], then: &[CpuCounts]) -> (Vec<CpuInterval>, Option<u64>) {
    let none = CpuCounts::default();
    let then = then.iter().chain(std::iter::repeat(&none));
    let mut lost: Vec<CpuInterval> = now.iter().zip(then).filter_map(|(now, then)| now.since(then)).collect();
    let excess = lost.len().saturating_sub(MOST_CPUS) as u64;
    lost.truncate(MOST_CPUS);
    (lost, Some(excess).filter(|excess| *excess > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::GapClass;

    fn counts(cpu: u32, gaps: &[(GapClass, u64)]) -> CpuCounts {
        let mut lost = TimeByClass::default();
        for (class, ns) in gaps {
            lost.add(*class, *ns);
        }
        CpuCounts { cpu, gap_ns: gaps.iter().map(|(_, ns)| ns).sum(), lost }
    }

    #[test]
    fn each_vcpu_has_what_it_lost_itself_and_one_that_lost_nothing_is_not_told() {
        let then = [counts(0, &[(GapClass::Throttle, 5_000_000)]), counts(1, &[]), counts(2, &[])];
        let now = [
            counts(0, &[(GapClass::Throttle, 12_000_000), (GapClass::Blackout, 3_000_000)]),
            counts(1, &[]),
            counts(2, &[(GapClass::HostSteal, 400_000)]),
        ];
        let (told, left_out) = since(&now, &then);
        let ms = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect();
        let expected = [
            CpuInterval { cpu: 0, gap_ns: 10_000_000, stall_ms: ms(&[("throttle", 7), ("blackout", 3)]) },
            CpuInterval { cpu: 2, gap_ns: 400_000, stall_ms: ms(&[]) },
        ];
        assert_eq!((&told[..], left_out), (&expected[..], None));
    }

    #[test]
    fn more_vcpus_than_a_record_tells_of_are_counted() {
        let now: Vec<CpuCounts> =
            (0..300).map(|cpu| counts(cpu, &[(GapClass::Unknown, 1_000_000)])).collect();
        let (told, left_out) = since(&now, &[]);
        assert_eq!((told.len(), left_out), (MOST_CPUS, Some(44)));
    }
}
