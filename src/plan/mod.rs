//! What is asked of a run, whichever way it was said, and the check that turns it into what will be done.

mod check;
mod fault;
mod kind;
mod memory;
mod pattern;
mod pool;

pub use check::{Checked, Machine, check};
pub use fault::{Fault, Faults};
pub use kind::{Backing, MemoryKind, Numa, PageSize};
pub use memory::MemoryAmount;
pub use pattern::PatternSpec;
pub use pool::{HugePages, Node, Stock};

use crate::units::{ByteSize, Nanos, Rate};

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
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            memory: MemoryAmount::Bytes(ByteSize::mib(512)),
            kind: MemoryKind::default(),
            rate: Rate::PagesPerSecond(25_600),
            pattern: PatternSpec::Shuffle,
            threads: None,
            duration: None,
            baseline: Nanos::from_secs(10),
            interval: Nanos::from_secs(1),
            seed: 1,
        }
    }
}

#[cfg(test)]
mod tests;
