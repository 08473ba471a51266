//! What is asked of a run, whichever way it was said, and the check that turns it into what will be done.

mod check;
mod memory;
mod pattern;
mod visit;

pub use check::{Checked, Fault, Faults, Machine, check};
pub use memory::MemoryAmount;
pub use pattern::PatternSpec;
pub use visit::{WORD_BYTES, is_write, on_or_off, write_bytes};

use crate::units::{ByteSize, Nanos, Rate};

/// What is asked: flags, a plan file and a host command all make one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How much memory to dirty.
    pub memory: MemoryAmount,
    /// How many pages a second are visited by a write, all writers together.
    pub rate: Rate,
    /// In which order pages are visited.
    pub pattern: PatternSpec,
    /// How much of a page a visit writes, in bytes: whole words, 8 to 4096.
    pub write_bytes: u64,
    /// Whether pages carry stamps that are checked.
    pub verify: bool,
    /// Whether each visit is timed.
    pub latency: bool,
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
            rate: Rate::PagesPerSecond(25_600),
            pattern: PatternSpec::Shuffle,
            write_bytes: WORD_BYTES,
            verify: true,
            latency: true,
            threads: None,
            duration: None,
            baseline: Nanos::from_secs(10),
            interval: Nanos::from_secs(1),
            seed: 1,
        }
    }
}
