//! What is known of a span of time, in the guest or to a host that looked on.

use super::features::classify;
use crate::record::{Gap, GapClass, Stall};

/// The host's stamps and the guest's clock are this near, ns.
pub(super) const HOST_NEAR_NS: u64 = 5_000_000;

/// What is known of a span of time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// When it ends, CLOCK_MONOTONIC.
    pub end_ns: u64,
    /// Over which time steal was counted; gaps that ended before it are not held against it.
    pub length_ns: u64,
    /// Canaries that watched.
    pub canaries: usize,
    /// Their gaps; the class in them is not looked at.
    pub gaps: &'a [Gap],
    /// Gaps that ended just now and may still be told of by the other canaries: they have no verdict yet, and only where a
    /// sleep of the throttle was due do they tell something.
    pub pending: &'a [Gap],
    /// Steal in it, sum over vCPUs; none where the kernel does not count it.
    pub steal_ns: Option<u64>,
    /// Visits that took too long, as far as they were told.
    pub stalls: &'a [Stall],
    /// What the host knows; empty in the guest.
    pub events: &'a [HostEvent],
    /// Whether the host looked on: what is not among the events then did not happen.
    pub is_hosted: bool,
    /// Whether the canaries run under SCHED_FIFO: then no other task of the guest can have kept them waiting for long.
    pub realtime: bool,
    /// The ticks that canaries wake with; 0 where they wake when they ask to.
    pub tick_ns: u64,
}

/// Something the host knows, on the guest's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostEvent {
    /// What it was.
    pub kind: HostEventKind,
    /// When it began.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
}

/// What the host can tell of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostEventKind {
    /// The VM was stopped.
    Stopped,
    /// QEMU set a migration up.
    Setup,
    /// All vCPUs were throttled by so many percent, by QEMU's law.
    Throttled(u64),
    /// Pages were still on the source.
    PostCopy,
    /// vCPUs that dirty too much were made to sleep.
    DirtyLimit,
}

impl Seen<'_> {
    /// What the guest's own counters explain of a gap.
    ///
    /// In post-copy the kernel itself waits for pages, and whoever is in the run queue then waits with it: the run delay of a
    /// canary that nothing in the guest outranks says nothing.
    pub(super) fn explained(&self, gap: &Gap) -> Option<GapClass> {
        let class = classify(gap.len_ns, &gap.features);
        let is_forced = class == GapClass::GuestSched
            && self.realtime
            && (self.is_during(HostEventKind::PostCopy, gap) || self.was_setting_up(gap));
        (class != GapClass::Unknown && !is_forced).then_some(class)
    }

    /// Whether the gap lies for the most part where QEMU set a migration up. Beside a long one the host's stamps may be a little off.
    pub(super) fn was_setting_up(&self, gap: &Gap) -> bool {
        let near_ns = if gap.len_ns >= HOST_NEAR_NS { HOST_NEAR_NS } else { 0 };
        let mut setups = self.events.iter().filter(|event| event.kind == HostEventKind::Setup);
        gap.len_ns > 0 && setups.any(|setup| setup.overlap_ns(gap, near_ns) >= gap.len_ns.div_ceil(2))
    }

    /// Whether something of `kind` went on in a part of the gap.
    pub(super) fn is_during(&self, kind: HostEventKind, gap: &Gap) -> bool {
        self.events.iter().any(|event| event.kind == kind && event.overlap_ns(gap, 0) > 0)
    }
}

impl HostEvent {
    /// How long it and the gap lasted together, the event being taken `near_ns` longer on each side.
    pub(super) fn overlap_ns(&self, gap: &Gap, near_ns: u64) -> u64 {
        let end = gap.end_ns().min(self.end_ns.saturating_add(near_ns));
        end.saturating_sub(gap.start_ns.max(self.start_ns.saturating_sub(near_ns)))
    }
}
