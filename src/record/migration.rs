//! What QEMU said during a run: the lines of `qemu.ndjson`.

use serde::{Deserialize, Serialize};

/// Which of the two QEMU processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The one the guest starts on.
    Source,
    /// The one it migrates to.
    Destination,
}

/// One line of `qemu.ndjson`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QemuLine {
    /// Host CLOCK_MONOTONIC when the line was received or done.
    pub host_ns: u64,
    /// Which QEMU.
    pub side: Side,
    /// What it said.
    #[serde(flatten)]
    pub body: QemuBody,
}

/// What a line of `qemu.ndjson` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum QemuBody {
    /// One answer to `query-migrate`.
    Sample(Box<MigrationSample>),
    /// One event.
    Event {
        /// Its name, as QEMU spells it.
        event: String,
        /// QEMU's own stamp: CLOCK_REALTIME in µs since 1970; absent where QEMU could not tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        qemu_real_us: Option<u64>,
        /// Its data, as QEMU sent it.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        data: serde_json::Value,
    },
    /// One command the lab gave.
    Command {
        /// Its name.
        command: String,
        /// Its arguments.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        arguments: serde_json::Value,
        /// What QEMU answered when it refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

/// One answer to `query-migrate`. Every field is optional: QEMU versions differ, and states leave fields out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MigrationSample {
    /// QEMU's whole reply, in a line of `qemu.ndjson` alone: whoever reads the line makes everything else here of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<serde_json::Value>,
    /// What QEMU said that cannot be, such as `downtime -1`: the fields it belongs to are absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub impossible: Vec<String>,
    /// `setup`, `active`, `postcopy-active`, `completed`, `failed`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Since the migration began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_time_ms: Option<u64>,
    /// Until the first page was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup_time_ms: Option<u64>,
    /// QEMU's downtime, both edges on the source: a lower bound of what the guest felt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime_ms: Option<u64>,
    /// The downtime if it switched now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_downtime_ms: Option<u64>,
    /// Auto-converge: share of time the vCPUs are made to sleep. Only while it throttles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_throttle_percent: Option<u64>,
    /// Post-copy: time in which all vCPUs waited for pages at once (destination).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postcopy_blocktime_ms: Option<u64>,
    /// Post-copy: the same for each vCPU (destination).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postcopy_vcpu_blocktime_ms: Option<Vec<u64>>,
    /// Post-copy: how long a page that was asked for took, on average (destination; QEMU 10.1, and so the three below).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postcopy_latency_ns: Option<u64>,
    /// Post-copy: how many pages took so long: the Nth number, from 0, those from 2^N to 2^(N+1) us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postcopy_latency_dist: Option<Vec<u64>>,
    /// Post-copy: the average of each vCPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postcopy_vcpu_latency_ns: Option<Vec<u64>>,
    /// Post-copy: the average of QEMU's other threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postcopy_non_vcpu_latency_ns: Option<u64>,
    /// Bytes still to send, of memory and devices together (QEMU 11.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_bytes: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Memory counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram: Option<RamSample>,
}

/// The `ram` part of `query-migrate`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RamSample {
    /// Bytes sent so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transferred_bytes: Option<u64>,
    /// Bytes still to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_bytes: Option<u64>,
    /// Guest memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// Zero pages sent as such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_pages: Option<u64>,
    /// Whole pages sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normal_pages: Option<u64>,
    /// Pages newly dirty per second, over the last sync period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty_pages_per_s: Option<u64>,
    /// Dirty-bitmap syncs so far: one a pass, and from QEMU 9.2 on another every 5 s under auto-converge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty_sync_count: Option<u64>,
    /// Pages the destination asked for in post-copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postcopy_requests: Option<u64>,
    /// Throughput in Mbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mbps: Option<f64>,
    /// Pages sent per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages_per_s: Option<u64>,
    /// Bytes sent before the switch, during it, and after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precopy_bytes: Option<u64>,
    /// Bytes sent while the guest stood still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime_bytes: Option<u64>,
    /// Bytes sent after the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postcopy_bytes: Option<u64>,
}
