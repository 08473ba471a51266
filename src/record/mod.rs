//! The nouns of the wire and of the run directory, schema 1: below everyone, so that whoever writes a record and
//! whoever reads one need not know each other.
//!
//! A field whose measurement a version does not have is absent, never zero.

#[cfg(feature = "host")]
mod accelerator;
mod body;
mod command;
mod corruption;
#[cfg(feature = "host")]
mod cycle;
mod end;
mod envelope;
mod gap;
mod hello;
#[cfg(feature = "host")]
mod impossible;
mod interval;
mod latency;
#[cfg(feature = "host")]
mod measured;
#[cfg(feature = "host")]
mod migration;
mod parts;
#[cfg(feature = "host")]
mod reply;
#[cfg(feature = "host")]
mod run;
#[cfg(feature = "host")]
pub mod schema;
mod session;
mod stall;

#[cfg(feature = "host")]
pub use accelerator::Accelerator;
pub use body::{Body, ClockStep, Dirtied, Heartbeat, MarkNote, Phase, Reply, Status, SweepEnd};
pub use command::{Command, LoadChange};
pub use corruption::{Corruption, CorruptionCounts, CorruptionKind};
#[cfg(feature = "host")]
pub use cycle::{CycleFigures, ForkFigures, PageVerdict, Paid};
pub use end::{End, EndReason, Totals};
pub use envelope::Record;
pub use gap::{Gap, GapClass, GapFeatures};
pub use hello::{ClockFacts, Hello, MemoryFacts, SelfFacts, tick_ns};
pub use interval::{GapSummary, Interval, SelfCost, Throttle, ThrottleLaw};
pub use latency::{Latency, is_resolved, unresolved_ns};
#[cfg(feature = "host")]
pub use measured::{CommandEnd, Measured};
#[cfg(feature = "host")]
pub use migration::{MigrationSample, QemuBody, QemuLine, RamSample, Side};
pub use parts::{CpuInterval, MOST_CPUS, REGION_HISTOGRAMS_BYTES, RegionInterval};
#[cfg(feature = "host")]
pub use run::{
    Arrival, ClockPair, Milestone, MilestoneName, OtherClock, OtherMachine, Outcome, Provenance, Run,
    StreamAudit, Verdict,
};
pub use session::SessionId;
pub use stall::Stall;

/// The number of this schema: a change of meaning makes a new one.
pub const SCHEMA: u32 = 1;
