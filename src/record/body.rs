//! What a record says: one variant per type, and the small ones whole.

use super::{Corruption, End, Gap, Hello, Interval, Stall};
use crate::plan::Load;
use serde::{Deserialize, Serialize, Serializer};

/// The content of a record. The wire's `type` is the variant's name in lower case.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Body {
    /// Who speaks, on what machine, with which plan: the first record of a session.
    Hello(Box<Hello>),
    /// What happened in one interval.
    Interval(Box<Interval>),
    /// One vCPU was away for longer than the threshold.
    Gap(Gap),
    /// One visit waited too long for its page.
    Stall(Stall),
    /// One page did not hold what its writer had left there.
    Corruption(Corruption),
    /// For the host's clock arithmetic.
    Heartbeat(Heartbeat),
    /// The clock that stamps was found wrong.
    #[serde(rename = "clock_step")]
    ClockStep(ClockStep),
    /// A phase began.
    Phase(Phase),
    /// Another load is in force.
    Load(Load),
    /// A note of the host, echoed into the stream where it arrived.
    Mark(MarkNote),
    /// Every writer has ended a sweep that a host asked for.
    Sweep(SweepEnd),
    /// Exactly so many pages were dirtied that a host, or `--dirty`, asked for.
    Dirtied(Dirtied),
    /// The answer to a command.
    Reply(Reply),
    /// The last record of a session: why it ended, and the sums.
    End(Box<End>),
}

impl Body {
    /// The record's `type` on the wire.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Interval(_) => "interval",
            Self::Gap(_) => "gap",
            Self::Stall(_) => "stall",
            Self::Corruption(_) => "corruption",
            Self::Heartbeat(_) => "heartbeat",
            Self::ClockStep(_) => "clock_step",
            Self::Phase(_) => "phase",
            Self::Load(_) => "load",
            Self::Mark(_) => "mark",
            Self::Sweep(_) => "sweep",
            Self::Dirtied(_) => "dirtied",
            Self::Reply(_) => "reply",
            Self::End(_) => "end",
        }
    }

    /// The types a reader of this version knows.
    pub const TYPE_NAMES: [&'static str; 14] = [
        "hello",
        "interval",
        "gap",
        "stall",
        "corruption",
        "heartbeat",
        "clock_step",
        "phase",
        "load",
        "mark",
        "sweep",
        "dirtied",
        "reply",
        "end",
    ];
}

/// Writes the fields alone: the envelope writes the `type`.
impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Hello(body) => body.serialize(serializer),
            Self::Interval(body) => body.serialize(serializer),
            Self::Gap(body) => body.serialize(serializer),
            Self::Stall(body) => body.serialize(serializer),
            Self::Corruption(body) => body.serialize(serializer),
            Self::Heartbeat(body) => body.serialize(serializer),
            Self::ClockStep(body) => body.serialize(serializer),
            Self::Phase(body) => body.serialize(serializer),
            Self::Load(body) => body.serialize(serializer),
            Self::Mark(body) => body.serialize(serializer),
            Self::Sweep(body) => body.serialize(serializer),
            Self::Dirtied(body) => body.serialize(serializer),
            Self::Reply(body) => body.serialize(serializer),
            Self::End(body) => body.serialize(serializer),
        }
    }
}

/// Guest clocks at one moment; `mono_ns` is in the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Heartbeat {
    /// Guest CLOCK_REALTIME, ns since 1970.
    pub real_ns: u64,
    /// The CPU's cycle counter, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsc: Option<u64>,
    /// The hypervisor's count of disruptions of the clock (vmclock): another one after a migration or a restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruptions: Option<u64>,
    /// The hypervisor's clock as a PTP clock of the guest shows it, in ns, usually since 1970; read just before `mono_ns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ptp_ns: Option<u64>,
    /// The guest kernel's clocksource, where it is another than `hello` says; looked at once a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clocksource: Option<String>,
}

/// The CPU's counter was found not to tell the time; CLOCK_MONOTONIC stamps from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct ClockStep {
    /// The time it showed, in ns; 0 for one before CLOCK_MONOTONIC began.
    pub shown_ns: u64,
    /// CLOCK_MONOTONIC at that moment.
    pub true_ns: u64,
}

/// A phase of the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Phase {
    /// `baseline`, then `run` or the names of the plan's phases.
    pub phase: String,
}

/// A note of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct MarkNote {
    /// The note, as it came.
    pub text: String,
}

/// The end of a sweep while the load runs; what it found was told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct SweepEnd {
    /// Sweeps that every writer has ended.
    pub sweeps: u32,
    /// Pages that sweeps have come to since the last such record.
    pub pages: u64,
    /// Corrupt pages found so far, whichever way; absent without stamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrupt_pages: Option<u64>,
}

/// The pages that were to be dirtied are, and the writers are still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Dirtied {
    /// How many times that was asked for and done.
    pub dirties: u32,
    /// The different pages that were written this time.
    pub pages: u64,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Reply {
    /// The command's `id`, when it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Whether it was done.
    pub ok: bool,
    /// Why not, and what is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// To `attach`: the number of the record that the stream goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// To `status`: what is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<Status>>,
}

/// What is going on in a run, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Status {
    /// The phase.
    pub phase: String,
    /// Whether the load is paused.
    pub paused: bool,
    /// The load, as it is when it is not paused.
    pub load: Load,
    /// Visits that wrote, by the end of the last interval.
    pub writes: u64,
    /// Visits that only read.
    pub reads: u64,
    /// Visits given up.
    pub missed: u64,
    /// Visits behind the schedule.
    pub backlog: u64,
    /// Visits a second that wrote, in the last interval; absent before it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub achieved_pages_per_s: Option<u64>,
    /// Corrupt pages found so far; absent without stamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrupt_pages: Option<u64>,
    /// Sweeps that every writer has ended.
    pub sweeps: u32,
}
