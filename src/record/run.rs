//! One run of a scenario, whole: `run.json`, and the stamp each guest record gets on arrival.

use super::{Accelerator, CycleFigures, ForkFigures, Measured, MigrationSample, Record, SCHEMA, Side};
use serde::{Deserialize, Serialize};

/// A guest record as `records.ndjson` keeps it: one flat object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// Host CLOCK_MONOTONIC when the line was complete.
    pub host_ns: u64,
    /// Which side's virtio-serial socket completed it.
    pub side: Side,
    /// The record.
    #[serde(flatten)]
    pub record: Record,
}

/// `run.json`: what was asked, on what, what happened, and the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The schema of the run directory.
    pub schema: u32,
    /// The scenario's name.
    pub name: String,
    /// The scenario as resolved.
    pub scenario: serde_json::Value,
    /// What it ran on.
    pub provenance: Provenance,
    /// Joins the monotonic stamps of all files with wall time.
    pub clock: ClockPair,
    /// What happened when, in order.
    pub milestones: Vec<Milestone>,
    /// How the guest's stream arrived.
    pub stream: StreamAudit,
    /// The last answers of QEMU: the source's, and the destination's where it had one.
    pub source: Option<MigrationSample>,
    /// The destination's.
    pub destination: Option<MigrationSample>,
    /// Each save and restore, of a run that has them in place of a migration; absent without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cycles: Vec<CycleFigures>,
    /// Who migrated, of a run that was only measured; absent where the lab did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Box<Measured>>,
    /// How it ended.
    pub verdict: Verdict,
}

impl Run {
    /// The schema this version writes.
    pub const SCHEMA: u32 = SCHEMA;

    /// The guests besides the run's own that were restored from its files, each a session apart.
    pub fn forks(&self) -> impl Iterator<Item = &ForkFigures> {
        self.cycles.iter().filter_map(|cycle| cycle.fork.as_ref()).filter(|fork| fork.is_apart)
    }

    /// Whether QEMU itself told when the guest was stopped and went on, as it does for the lab.
    pub fn is_staged_by_qemu(&self) -> bool {
        let happened = |name| self.when(name).is_some();
        self.measured.is_none() || happened(MilestoneName::Stop) && happened(MilestoneName::Resume)
    }

    /// When `name` happened, host CLOCK_MONOTONIC; the first time, where it happened more than once.
    pub fn when(&self, name: MilestoneName) -> Option<u64> {
        self.milestones.iter().find(|milestone| milestone.name == name).map(|milestone| milestone.host_ns)
    }
}

/// What a run ran on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// sully's own version.
    pub version: String,
    /// The host's kernel release.
    pub host_kernel: String,
    /// CPUs of the host that the lab may run on; none where the kernel does not say.
    pub host_cpus: Option<u32>,
    /// The host's processor, as the kernel names it.
    pub host_cpu_model: String,
    /// QEMU's version, as it names itself.
    pub qemu_version: String,
    /// How the guest's CPUs were run; none where nobody said it.
    pub accelerator: Option<Accelerator>,
    /// Why not KVM, where KVM was wanted or tried.
    pub accelerator_reason: Option<String>,
    /// The guest kernel's file name.
    pub guest_kernel: String,
    /// Guest memory as given to QEMU.
    pub guest_memory: String,
    /// The source QEMU's arguments.
    pub qemu_arguments: Vec<String>,
    /// The machine that the destination ran on, where that was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_machine: Option<Box<OtherMachine>>,
    /// What the lab did on its own account, such as the RAM workaround.
    pub notes: Vec<String>,
}

/// The machine that a guest went to, where that was another one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OtherMachine {
    /// Where it is: `ssh://[USER@]HOST[:PORT]`.
    pub address: String,
    /// Its kernel's release.
    pub kernel: String,
    /// Its CPUs; none where it does not say.
    pub cpus: Option<u32>,
    /// Its processor, as its kernel names it.
    pub cpu_model: String,
    /// Its QEMU's version.
    pub qemu_version: String,
    /// Where the source sent the migration, as QEMU names it.
    pub stream: String,
    /// How its wall clock stood to this machine's CLOCK_MONOTONIC; none where that could not be told.
    pub clock: Option<OtherClock>,
    /// Why it could not.
    pub clock_reason: Option<String>,
}

/// The wall clock of another machine at a moment of this one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OtherClock {
    /// CLOCK_MONOTONIC of this machine.
    pub mono_ns: u64,
    /// CLOCK_REALTIME of the other one at that moment, ns since 1970.
    pub real_ns: u64,
    /// By how much that may be off when the guest was resumed: half of a round trip, and what the clocks may have drifted since.
    pub error_ns: u64,
    /// The shortest round trip to it that was seen.
    pub round_trip_ns: u64,
}

/// One moment on two clocks of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClockPair {
    /// CLOCK_MONOTONIC.
    pub mono_ns: u64,
    /// CLOCK_REALTIME, ns since 1970.
    pub real_ns: u64,
}

/// Something that happened once in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestone {
    /// What.
    pub name: MilestoneName,
    /// When, host CLOCK_MONOTONIC.
    pub host_ns: u64,
}

/// What can happen in a run, in the order it usually does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MilestoneName {
    /// QEMU was started.
    Boot,
    /// The guest's first record arrived.
    Hello,
    /// The load was steady and the baseline complete.
    Steady,
    /// The migration was started; where QEMU does not say it, the command that migrates.
    Migrate,
    /// The switch to post-copy was ordered.
    PostcopyStart,
    /// The source stopped running the guest (QEMU's STOP).
    Stop,
    /// The destination began to run it (QEMU's RESUME).
    Resume,
    /// The migration was complete; where QEMU does not say it, the command that migrates had ended.
    Completed,
    /// The load was steady again.
    Settled,
    /// The guest was told to end.
    StopGuest,
    /// The guest's last record arrived.
    End,
}

/// How the guest's stream arrived: everything that was not as it should be is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamAudit {
    /// Records kept.
    pub records: u64,
    /// Sequence numbers that never arrived.
    pub holes: u64,
    /// Sequence numbers that arrived twice.
    pub doubles: u64,
    /// Sequence numbers that arrived again because the host had asked for them again; kept once.
    pub replayed: u64,
    /// Lines that are no record: torn, malformed or too long.
    pub torn: u64,
    /// Records of a type this version does not know.
    pub unknown: u64,
    /// Records the guest gave up because the reader was slow.
    pub dropped_by_guest: u64,
    /// Records that came when the file of records was as long as it may be.
    pub unwritten: u64,
}

impl StreamAudit {
    /// Whether every record arrived, once and whole.
    pub const fn is_sound(&self) -> bool {
        self.holes == 0 && self.doubles == 0 && self.torn == 0
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// In a word.
    pub outcome: Outcome,
    /// In sentences: what went wrong, or nothing.
    pub reasons: Vec<String>,
}

/// How a run ended, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was as it should be.
    Passed,
    /// It ran, and a judgement failed: exit code 3.
    Judged,
    /// It could not run: exit code 1.
    Failed,
    /// Somebody interrupted it.
    Interrupted,
}
