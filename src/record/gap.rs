//! One vCPU gap: a canary lost time beyond its nominal step.

use serde::{Deserialize, Serialize};

/// One gap that passed the threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Gap {
    /// The CPU whose canary was late.
    pub cpu: u32,
    /// When the gap began, guest CLOCK_MONOTONIC, as near as the canary's period lets it be known.
    pub start_ns: u64,
    /// How long the vCPU was away: unbiased, within half the canary's period (see docs/MEASURING.md).
    pub len_ns: u64,
    /// Whose fault it was.
    pub class: GapClass,
    /// What the kernel counted for the canary's thread since shortly before the gap.
    pub features: GapFeatures,
}

impl Gap {
    /// When it ended, guest CLOCK_MONOTONIC (saturating: a guest may say anything).
    pub const fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.len_ns)
    }
}

/// Whose fault a gap was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GapClass {
    /// The guest's own scheduler ran something else.
    GuestSched,
    /// The guest's own memory management: reclaim, swap, first touch.
    GuestFault,
    /// A post-copy fault for which the guest ran something else meanwhile.
    AsyncPf,
    /// The host ran something else than the vCPU.
    HostSteal,
    /// The hypervisor lets the vCPUs sleep regularly, so that less is dirtied.
    Throttle,
    /// The VM ran nowhere: the switch of a migration.
    Blackout,
    /// The VM stood as a whole, for another reason.
    VmPause,
    /// One vCPU waited for a page that was still on the source.
    PostcopyFault,
    /// One vCPU had to sleep because it dirtied too much.
    DirtyLimit,
    /// One vCPU was away, and the guest did not do it.
    HostOther,
    /// QEMU was setting a migration up. Told by the host alone, which knows when it did; never by the guest.
    Setup,
    /// It cannot be told, or a later version's class.
    #[serde(other)]
    Unknown,
}

impl GapClass {
    /// Every class, in the order of their numbers.
    pub const ALL: [Self; 12] = [
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
        Self::Setup,
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
            Self::Setup => "setup",
            Self::Unknown => "unknown",
        }
    }
}

/// Counters of the canary's thread over the gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
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
