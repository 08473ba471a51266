//! The first record of a session: who speaks, on what machine, with which plan and at what cost.

use super::SessionId;
use crate::plan::Checked;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The first record of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Hello {
    /// The schema all records of the session follow.
    pub schema: u32,
    /// The program's version.
    pub version: String,
    /// The kernel's random id of this boot.
    pub boot_id: String,
    /// The guest's host name.
    pub hostname: String,
    /// The guest's kernel release.
    pub kernel: String,
    /// CPUs the program may run on; each has a canary, unless there are none (`self`).
    pub cpus: Vec<u32>,
    /// All memory of the guest.
    pub mem_total_bytes: u64,
    /// The clock that stamps.
    pub clock: ClockFacts,
    /// The length of one interval.
    pub interval_ns: u64,
    /// The plan as resolved.
    pub plan: Checked,
    /// The region, as found after it was filled.
    pub memory: MemoryFacts,
    /// What the tool itself costs, as calibrated at the start.
    #[serde(rename = "self")]
    pub self_facts: SelfFacts,
    /// The session that this one was until its VM went back to an earlier state; absent for a run from its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SessionId>,
    /// The first number that is this session's own; what comes before is the parent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_seq: Option<u64>,
    /// What the VM is called by whoever runs it, such as `name`; absent without any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The clock that stamps visits and gaps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct ClockFacts {
    /// `tsc` (the CPU's counter, kept in step with CLOCK_MONOTONIC) or `monotonic` (CLOCK_MONOTONIC).
    pub kind: String,
    /// Ticks a second.
    pub hz: u64,
    /// What one reading costs, the median of many, rounded.
    pub read_ns: u64,
    /// The smallest step it was seen to take, as measured; where its own is less than a reading costs, about that cost. Latencies
    /// that are no longer are not told. Absent from an earlier version's guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_ns: Option<u64>,
    /// From one wake of a timer to the next where it is asked for at once, as measured: a ms and more where timers wake with the
    /// kernel's tick alone, and then writers and canaries do. Absent from an earlier version's guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer_step_ns: Option<u64>,
    /// The guest kernel's clocksource; absent where it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clocksource: Option<String>,
}

/// Timers that wake no sooner than this one after the other wake with the kernel's tick alone, ns.
const TICK_FLOOR_NS: u64 = 800_000;

/// The ticks that timers wake with, of which one came no sooner than `timer_step_ns` after another; 0 where they wake when they are
/// asked to.
pub const fn tick_ns(timer_step_ns: u64) -> u64 {
    if timer_step_ns < TICK_FLOOR_NS { 0 } else { timer_step_ns }
}

/// The memory of all regions, as found after it was filled and before the first visit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct MemoryFacts {
    /// Bytes mapped.
    pub bytes: u64,
    /// Bytes of them that are resident (mincore).
    pub resident_bytes: u64,
    /// How long filling them took.
    pub prefault_ns: u64,
    /// The size of the backing pages that were asked for; absent where regions ask for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_bytes_asked: Option<u64>,
    /// Bytes of them that huge pages back; absent where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub huge_bytes: Option<u64>,
}

/// What the tool itself costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct SelfFacts {
    /// From which lateness on a canary's wake counts as a gap, at first; intervals say what became of it. Absent without canaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_threshold_ns: Option<u64>,
    /// How often a canary wakes; absent without canaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_period_ns: Option<u64>,
    /// Whether the canaries run under SCHED_FIFO.
    pub canary_realtime: bool,
    /// Memory the tool's own tables take and dirty.
    pub tables_bytes: u64,
}
