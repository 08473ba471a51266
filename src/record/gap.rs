//! One vCPU gap: a canary lost time beyond its nominal step.

use serde::{Deserialize, Serialize};

/// One gap that passed the threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The CPU whose canary was late.
    pub cpu: u32,
    /// When the gap began, guest CLOCK_MONOTONIC, as near as the canary's period lets it be known.
    pub start_ns: u64,
    /// How long the vCPU was away: unbiased, within half the canary's period (see docs/MEASURING.md).
    pub len_ns: u64,
    /// Whose fault it was.
    pub class: GapClass,
    /// How sure that is, 0 to 100; absent where nothing but the gap itself was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u32>,
    /// The visit on the same vCPU that it falls into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit: Option<GapVisit>,
    /// What the kernel counted for the canary's thread since shortly before the gap.
    pub features: GapFeatures,
}

/// Whose fault a gap was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapClass {
    /// The guest's own scheduler ran something else.
    GuestSched,
    /// The guest's own memory management: reclaim, swap, first touch.
    GuestFault,
    /// A task waited for a page of the host while its vCPU ran other tasks (asynchronous page fault).
    AsyncPf,
    /// The host ran something else on the vCPU's CPU.
    HostSteal,
    /// The hypervisor made all vCPUs sleep, again and again in the same time.
    Throttle,
    /// The VM ran nowhere: it was stopped, or between two hosts.
    Blackout,
    /// All vCPUs stood at once, for a reason that is none of these.
    VmPause,
    /// One vCPU waited for a page that was still on the source.
    PostcopyFault,
    /// One vCPU was made to sleep for what it had dirtied.
    DirtyLimit,
    /// One vCPU was away alone, and nothing in the guest explains it.
    HostOther,
    /// It cannot be told, or a later version's class.
    #[serde(other)]
    Unknown,
}

impl GapClass {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::GuestSched,
        Self::GuestFault,
        Self::AsyncPf,
        Self::HostSteal,
        Self::Throttle,
        Self::Blackout,
        Self::VmPause,
        Self::PostcopyFault,
        Self::DirtyLimit,
        Self::HostOther,
        Self::Unknown,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GuestSched => "guest_sched",
            Self::GuestFault => "guest_fault",
            Self::AsyncPf => "async_pf",
            Self::HostSteal => "host_steal",
            Self::Throttle => "throttle",
            Self::Blackout => "blackout",
            Self::VmPause => "vm_pause",
            Self::PostcopyFault => "postcopy_fault",
            Self::DirtyLimit => "dirty_limit",
            Self::HostOther => "host_other",
            Self::Unknown => "unknown",
        }
    }
}

/// A writer's visit that a gap of its vCPU falls into: a store was under way, or the next one was about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapVisit {
    /// When the visit began, guest CLOCK_MONOTONIC.
    pub start_ns: u64,
    /// How long it took.
    pub len_ns: u64,
    /// When its page had been visited before, 0 for the fill; absent without page stamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_visited_ns: Option<u64>,
    /// Visits of that writer that had written by then.
    pub writes: u64,
}

/// Counters of the canary's thread over the gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GapFeatures {
    /// Time the thread was runnable but not running (schedstat).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_delay_ns: Option<u64>,
    /// CPU time the thread was charged.
    pub cpu_ns: u64,
    /// Page faults served without I/O.
    pub minflt: u64,
    /// Page faults served with I/O.
    pub majflt: u64,
    /// Voluntary context switches, the canary's own sleeps included.
    pub nvcsw: u64,
    /// Involuntary context switches.
    pub nivcsw: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_one_name_and_a_later_versions_class_is_unknown() {
        for (number, class) in GapClass::ALL.into_iter().enumerate() {
            let text = format!("\"{}\"", class.name());
            assert_eq!((class as usize, serde_json::to_string(&class).unwrap()), (number, text.clone()));
            assert_eq!(serde_json::from_str::<GapClass>(&text).unwrap(), class);
        }
        assert_eq!(serde_json::from_str::<GapClass>("\"full_moon\"").unwrap(), GapClass::Unknown);
    }
}
