//! The last record of a session: why it ended, and the sums of the whole run.

use super::{CorruptionCounts, GapSummary, Latency};
use serde::{Deserialize, Serialize};

/// The last record of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct End {
    /// Why it ended.
    pub reason: EndReason,
    /// More about the reason, where there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The sums.
    pub totals: Totals,
    /// From actual start to end of a visit, whole run.
    pub service_ns: Latency,
    /// From intended start to end of a visit, whole run.
    pub response_ns: Latency,
    /// The same as a packed HdrHistogram V2.
    pub service_hist: String,
    /// The same as a packed HdrHistogram V2.
    pub response_hist: String,
    /// Records (gaps, heartbeats) that were given up because the reader was slow. Their counts are in the intervals.
    pub records_dropped: u64,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The duration asked for was over.
    Duration,
    /// The host said `stop`.
    Stop,
    /// SIGINT or SIGTERM; `detail` names it.
    Signal,
    /// A report target could not be written any more; `detail` says which and why.
    ReportFailed,
    /// A writer or canary failed; `detail` says how.
    Failed,
    /// A later version's reason.
    #[serde(other)]
    Unknown,
}

/// Sums of the whole run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Totals {
    /// From the first visit's intended start to the last record.
    pub elapsed_ns: u64,
    /// Page visits that wrote.
    pub writes: u64,
    /// Page visits that only read.
    #[serde(default)]
    pub reads: u64,
    /// Page visits the schedule asked for, reads included; absent for `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<u64>,
    /// Visits that were given up; absent for `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
    /// Visits left undone at the end; absent for `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u64>,
    /// All vCPU gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaps: Option<GapSummary>,
    /// Corrupt pages that were found, by kind; absent without page stamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corruptions: Option<CorruptionCounts>,
    /// Pages that the sweep at the end looked at; absent without page stamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages_swept: Option<u64>,
    /// CPU time of everything but the writers.
    pub self_cpu_ns: u64,
}
