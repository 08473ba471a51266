//! Why a load cannot be started.

use crate::{record::MemoryFacts, region::RegionError, units::ByteSize};

/// Why a load cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The memory cannot be had.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The memory was filled, and is not all there.
    #[error(
        "only {} of {} stayed in memory after they were filled: something swaps or reclaims; ask for less with \
         --memory, or switch swap off",
        ByteSize(.0.resident_bytes).human(),
        ByteSize(.0.bytes).human()
    )]
    NotResident(MemoryFacts),
    /// There is no CPU to run on.
    #[error("no CPU was given to run on: allow this program at least one, for example with taskset")]
    NoCpu,
    /// The CPU's counter is insisted on, and there is none.
    #[error(
        "--clock tsc cannot be: programs can read no cycle counter on this CPU; use --clock auto, which takes what there is"
    )]
    NoCounter,
    /// The CPU's counter is insisted on, and cannot be compared with the kernel's clock.
    #[error(
        "--clock tsc cannot be: in 5 s the CPU's counter was never read close enough to CLOCK_MONOTONIC to tell its pace \
         (it stands still, or this machine is too busy); use --clock monotonic, or try again when it is calmer"
    )]
    CounterWithoutPace,
    /// A thread cannot be started.
    #[error(
        "the thread {name} cannot be started ({cause}): ask for fewer with --threads, or look at ulimit -u"
    )]
    Spawn {
        /// The thread's name.
        name: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A thread cannot be pinned.
    #[error(
        "the thread {name} cannot be pinned to CPU {cpu} ({cause}): is it online, and allowed by taskset?"
    )]
    Pin {
        /// The thread's name.
        name: String,
        /// The CPU it belongs on.
        cpu: u32,
        /// What the kernel said.
        cause: nix::Error,
    },
    /// Loads follow each other faster than the writers take them up.
    #[error("the writers have not taken up the last 64 loads yet: wait until they get on")]
    Behind,
    /// Whoever started it did not want to go on.
    #[error("the filling of the memory was given up")]
    GivenUp,
    /// A thread died before it was ready.
    #[error("{0}")]
    Died(String),
}
