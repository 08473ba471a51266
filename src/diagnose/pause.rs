//! A gap as the estimators see it: when a vCPU was away and what a canary can see of it.

use crate::record::{Gap, GapClass};

/// One vCPU was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Whose canary saw it.
    pub cpu: u32,
    /// When it began; uncertain by half a canary's period.
    pub start_ns: u64,
    /// How long it lasted.
    pub len_ns: u64,
}

impl Pause {
    /// What of a gap nobody in the guest explains: what its thread then waited for in the run queue is cut off its end.
    pub fn of(gap: &Gap) -> Self {
        let waited_ns = gap.features.run_delay_ns.unwrap_or(0);
        Self { cpu: gap.cpu, start_ns: gap.start_ns, len_ns: gap.len_ns.saturating_sub(waited_ns) }
    }

    /// When the vCPU was back: a canary that is overdue wakes at once, so this is known to some 50 us.
    pub const fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.len_ns)
    }

    /// How much of the shorter of the two lies in the other, in percent.
    pub fn overlap_percent(&self, other: &Self) -> u64 {
        let common_ns = self.end_ns().min(other.end_ns()).saturating_sub(self.start_ns.max(other.start_ns));
        common_ns.saturating_mul(100) / self.len_ns.min(other.len_ns).max(1)
    }
}

/// Whether the hypervisor may have caused a gap of this class.
pub(super) const fn may_be_the_hypervisors(class: GapClass) -> bool {
    !matches!(class, GapClass::GuestSched | GapClass::GuestFault | GapClass::HostSteal)
}

/// What canaries can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// How often a canary wakes.
    pub period_ns: u64,
    /// From which lateness on a wake is a gap.
    pub threshold_ns: u64,
    /// Canaries that live: one on each vCPU.
    pub canaries: usize,
}

impl Sight {
    /// The length a canary finds when it wakes so late (see `engine::canary`).
    fn found_ns(&self, late_ns: u64) -> u64 {
        late_ns.saturating_add(late_ns.min(self.period_ns / 2))
    }

    /// The lengths that canaries find of sleeps of `sleep_ns`, when these last a little longer than they should.
    pub(super) fn lengths_ns(&self, sleep_ns: u64, tolerance_ns: u64) -> std::ops::RangeInclusive<u64> {
        let least_ns = sleep_ns.saturating_sub(self.period_ns).max(self.threshold_ns);
        let from_ns = self.found_ns(least_ns).saturating_sub(tolerance_ns / 2);
        from_ns..=self.found_ns(sleep_ns).saturating_add(tolerance_ns * 3 / 2)
    }

    /// The share of sleeps of `sleep_ns` that a canary sees, in permille: into the shorter ones no wake falls.
    pub(super) fn seen_permille(&self, sleep_ns: u64) -> u64 {
        let visible_ns = sleep_ns.saturating_sub(self.threshold_ns);
        (visible_ns.saturating_mul(1000) / self.period_ns.max(1)).min(1000)
    }
}

/// Puts pauses into the order of their ends. They come nearly so, and then one pass does it.
pub(super) fn order(pauses: &mut [Pause]) {
    for at in 1..pauses.len() {
        let mut to = at;
        while to > 0 && pauses[to - 1].end_ns() > pauses[to].end_ns() {
            pauses.swap(to - 1, to);
            to -= 1;
        }
    }
}

/// The middle one; 0 when there is none.
pub(super) fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}
