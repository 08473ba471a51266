//! What is asked of a run, whichever way it was said, and the check that turns it into what will be done.

mod canary;
mod check;
mod clock;
mod content;
mod fault;
mod file;
mod hotspot;
mod kind;
mod load;
mod memory;
mod number;
mod pace;
mod parts;
mod pattern;
mod phase;
mod pool;
mod region;
mod room;
mod tables;
mod theta;
mod visit;
mod visits;

pub use canary::CanaryPeriod;
pub use check::{Checked, check, crowded};
pub use clock::ClockChoice;
pub use content::{ContentSpec, dedup_fault};
pub use fault::{Fault, Faults};
pub use file::{PLAN_FILE_LIMIT, PlanFile};
pub use hotspot::Hotspot;
pub use kind::{Backing, MemoryKind, Numa, PageSize};
pub use load::{Load, Ramp};
pub use memory::MemoryAmount;
pub use number::{catch_up, seed, threads};
#[cfg(feature = "host")]
pub(crate) use pace::faults as pace_faults;
pub use pace::{BacklogPolicy, PaceSpec};
pub use pattern::PatternSpec;
pub use phase::{PHASE_NAME_LIMIT, PhaseAsked, PlannedPhase, name_fault};
pub use pool::{HugePages, Machine, Node, Stock};
pub use region::{Habits, Lot, PlannedRegion, RegionAsked};
#[cfg(test)]
pub(crate) use tables::{
    CANARY_TABLE_BYTES, LEDGER_BYTES, STACK_BYTES, STAMP_TABLE_BYTES, WRITER_TABLE_BYTES,
};
pub use theta::Theta;
pub use visit::{WORD_BYTES, is_write, on_or_off, write_bytes};
pub use visits::{VisitMix, at_odds, visit_rate};

use crate::units::{ByteSize, Nanos, Rate, Share};

/// What is asked: flags, a plan file and a host command all make one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How much memory to dirty.
    pub memory: MemoryAmount,
    /// What kind of memory.
    pub kind: MemoryKind,
    /// How many pages a second are visited by a write, all writers together.
    pub rate: Rate,
    /// In which order pages are visited.
    pub pattern: PatternSpec,
    /// When visits are due.
    pub pace: PaceSpec,
    /// What becomes of visits that a stall delayed.
    pub backlog: BacklogPolicy,
    /// How many times faster than its schedule a writer catches up at most, 1 to 100.
    pub catch_up: u32,
    /// The share of visits that only read; they come on top of the rate.
    pub reads: Share,
    /// How much of a page a visit writes, in bytes: whole words, 8 to 4096.
    pub write_bytes: u64,
    /// What pages hold beyond their stamp.
    pub content: ContentSpec,
    /// The share of the pages that hold the same bytes as another page.
    pub dedup: Share,
    /// Whether pages carry stamps that are checked.
    pub verify: bool,
    /// Whether each visit is timed.
    pub latency: bool,
    /// The clock that stamps.
    pub clock: ClockChoice,
    /// How often canaries wake.
    pub canary: CanaryPeriod,
    /// Writers; none means one per online vCPU.
    pub threads: Option<u32>,
    /// How long to run; none means until told to stop.
    pub duration: Option<Nanos>,
    /// The unperturbed time at the start that later degradation is judged against.
    pub baseline: Nanos,
    /// The length of one interval record.
    pub interval: Nanos,
    /// Where the page sequence and the content start from.
    pub seed: u64,
    /// What the load does after the baseline, one after the other; none is one phase that changes nothing.
    pub phases: Vec<PhaseAsked>,
    /// Whether the phases begin anew when they are over.
    pub repeat: bool,
    /// Regions of memory; none is one, of the memory and kind above.
    pub regions: Vec<RegionAsked>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            memory: MemoryAmount::Bytes(ByteSize::mib(512)),
            kind: MemoryKind::default(),
            rate: Rate::PagesPerSecond(25_600),
            pattern: PatternSpec::Shuffle,
            pace: PaceSpec::Constant,
            backlog: BacklogPolicy::Repay,
            catch_up: pace::CATCH_UP,
            reads: Share::default(),
            write_bytes: WORD_BYTES,
            content: ContentSpec::Random,
            dedup: Share::default(),
            verify: true,
            latency: true,
            clock: ClockChoice::Auto,
            canary: CanaryPeriod::default(),
            threads: None,
            duration: None,
            baseline: Nanos::from_secs(10),
            interval: Nanos::from_secs(1),
            seed: 1,
            phases: Vec::new(),
            repeat: false,
            regions: Vec::new(),
        }
    }
}

impl Plan {
    /// The load that the run begins with, and that phases begin from.
    pub const fn load(&self) -> Load {
        Load {
            rate: self.rate,
            ramp: None,
            pattern: self.pattern,
            pace: self.pace,
            backlog: self.backlog,
            catch_up: self.catch_up,
            reads: self.reads,
            write_bytes: self.write_bytes,
            content: self.content,
        }
    }
}

#[cfg(test)]
mod tests;
