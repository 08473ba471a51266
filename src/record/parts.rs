//! An interval region by region, and vCPU by vCPU: what sums over all of them hide.

use super::Latency;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most vCPUs that one interval tells of.
pub const MOST_CPUS: usize = 256;
/// The most text that packed histograms of all regions of one interval take together, in bytes.
pub const REGION_HISTOGRAMS_BYTES: usize = 32 << 10;

/// What the writers of one region did in an interval.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct RegionInterval {
    /// Its name.
    pub name: String,
    /// Page visits that wrote; absent where it computes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<u64>,
    /// Page visits that only read; absent where it computes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<u64>,
    /// Units of work done; absent where it is memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u64>,
    /// Visits or units the schedule asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<u64>,
    /// Those that were given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
    /// Those that its writers are behind the schedule at the interval's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u64>,
    /// From actual start to end of a visit or unit.
    pub service_ns: Latency,
    /// From intended start to end of a visit or unit.
    pub response_ns: Latency,
    /// The same as a packed HdrHistogram V2; absent where those of the regions before took all the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_hist: Option<String>,
    /// The same as a packed HdrHistogram V2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_hist: Option<String>,
}

/// What one vCPU lost in an interval.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct CpuInterval {
    /// Which.
    pub cpu: u32,
    /// The length of its gaps that ended in the interval.
    pub gap_ns: u64,
    /// Where they belong, ms by the name of their class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stall_ms: BTreeMap<String, u64>,
}
