//! One interval of a run: what was asked, what was done, how long it took, who was away.

use super::{CpuInterval, Latency, RegionInterval};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One interval. Figures are sums over all writers unless they say otherwise.
///
/// Intervals of a session follow each other without a gap: where a reader was slow, one interval covers the time
/// of several, and no count is lost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Interval {
    /// `baseline`, then `run`.
    pub phase: String,
    /// Guest CLOCK_MONOTONIC at its start.
    pub start_ns: u64,
    /// Guest CLOCK_MONOTONIC at its end.
    pub end_ns: u64,
    /// Page visits that wrote.
    pub writes: u64,
    /// Page visits that only read.
    #[serde(default)]
    pub reads: u64,
    /// Page visits the schedule asked for, reads included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<u64>,
    /// Visits that were given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
    /// Visits the writers are behind the schedule at the interval's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u64>,
    /// Different pages that were written, exactly; absent without page stamps, and where it covers the time of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages_unique: Option<u64>,
    /// The rate asked for; absent for `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_pages_per_s: Option<u64>,
    /// From actual start to end of a visit.
    pub service_ns: Latency,
    /// From intended start to end of a visit.
    pub response_ns: Latency,
    /// The same as a packed HdrHistogram V2.
    pub service_hist: String,
    /// The same as a packed HdrHistogram V2.
    pub response_hist: String,
    /// How long the longest visit that is still under way has lasted at the interval's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_ns: Option<u64>,
    /// vCPU gaps that ended in this interval, all canaries together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaps: Option<GapSummary>,
    /// Time the guest's vCPUs waited for a host CPU, sum over vCPUs (/proc/stat steal, ticks of 10 ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steal_ms: Option<u64>,
    /// Callbacks of the hypervisor (the row HYP of /proc/interrupts), looked at when something took too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callbacks: Option<u64>,
    /// Where the gaps that ended in this interval belong, ms by the name of their class, sum over canaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_ms: Option<BTreeMap<String, u64>>,
    /// How much the hypervisor lets the vCPUs sleep at the interval's end; absent where it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Region by region, in the order of the plan; empty where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RegionInterval>,
    /// The vCPUs of several that lost anything, in order; empty where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<CpuInterval>,
    /// How many more lost something; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus_left_out: Option<u64>,
    /// What the tool itself took in this interval.
    #[serde(rename = "self")]
    pub self_cost: SelfCost,
}

/// vCPU gaps of one interval, all canaries together. Nothing is left out of it, whatever records were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct GapSummary {
    /// Gaps above the threshold.
    pub count: u64,
    /// Their length, sum over canaries.
    pub total_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// From which lateness on a canary's wake counted as a gap, at the end; the highest of all canaries.
    pub threshold_ns: u64,
}

/// A periodic sleep of all vCPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Throttle {
    /// Its share of time, a whole number as QEMU sets it.
    pub percent: u64,
    /// One sleep and the run after it, refined from many: at QEMU's law the percent is 100 (1 - 10 ms / period).
    pub period_ns: u64,
    /// Which law it follows.
    pub law: ThrottleLaw,
    /// How regular it is, 45 to 100.
    pub score_percent: u64,
}

/// The law of a throttle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub enum ThrottleLaw {
    /// QEMU's: 10 ms of run, then the sleep.
    Qemu,
    /// Regular, but not QEMU's, or a later version's name.
    #[serde(other)]
    Unknown,
}

/// What the tool itself took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct SelfCost {
    /// CPU time of everything but the writers: canaries, sampling, reporting.
    pub cpu_ns: u64,
    /// Pages the tool dirtied for itself, its regions not counted. In one interval of five seconds: counting makes the first
    /// store into each page dearer. Absent in all others, and before Linux 6.7, which cannot tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages_dirtied: Option<u64>,
}
