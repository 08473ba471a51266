//! One migration from the first question to the last figure, as a state machine without I/O.
//!
//! The caller starts both QEMUs, hands in what they say and what time it is, and does what [`Driver::on`] answers.
//! The driver asks QEMU what it can do instead of looking at its version.

mod driver;
mod offer;
mod sample;
mod setup;
mod uris;

pub use driver::Driver;
pub use offer::{arguments_of, names};
pub use sample::sample;
pub use setup::{SET_PARAMETERS, agree, capability_hint, missing_parameters, settings};
pub use uris::Uris;

use crate::record::{MigrationSample, Milestone, Side};
use serde_json::Value;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The load is steady: begin.
    Start,
    /// A tenth of a second passed.
    Tick,
    /// QEMU did what it was told.
    CommandDone {
        /// Which QEMU.
        side: Side,
        /// The command.
        command: &'static str,
        /// What it returned.
        value: Value,
    },
    /// QEMU refused.
    CommandFailed {
        /// Which QEMU.
        side: Side,
        /// The command.
        command: &'static str,
        /// What it said.
        error: String,
    },
    /// An answer to `query-migrate`.
    Sample(Side, Box<MigrationSample>),
    /// An event.
    Event {
        /// Which QEMU.
        side: Side,
        /// Its name, as QEMU spells it.
        name: String,
        /// Its data.
        data: Value,
    },
    /// A QEMU process is gone.
    VmExited {
        /// Which.
        side: Side,
        /// How it ended and what it said last.
        how: String,
    },
    /// The guest put a mark into its stream.
    Marked,
    /// Somebody wants it to end.
    Cancel,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Tell QEMU, and hand in its answer.
    Execute {
        /// Which QEMU.
        side: Side,
        /// The command.
        command: &'static str,
        /// Its arguments; null for none.
        arguments: Value,
    },
    /// Ask `query-migrate`, and hand in the sample.
    Query(Side),
    /// Have the guest put this mark into its stream, and hand in that it did.
    Mark(&'static str),
    /// Write down that this happened.
    Milestone(Milestone),
    /// Write down what the reader of a report should know.
    Note(String),
    /// It is over.
    Finish(Box<MigrationEnd>),
}

/// How a migration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationResult {
    /// The guest runs at the destination, with all of its memory.
    Completed,
    /// It does not, and QEMU or its death is the cause.
    Failed,
    /// It took longer than the scenario allows.
    TimedOut,
    /// Somebody ended it.
    Cancelled,
}

/// How a migration ended, and the last figures.
#[derive(Debug, Clone, PartialEq)]
pub struct MigrationEnd {
    /// In a word.
    pub result: MigrationResult,
    /// Why, in a sentence, where it did not complete.
    pub reason: Option<String>,
    /// The source's last answer.
    pub source: Option<MigrationSample>,
    /// The destination's last answer, where it was asked.
    pub destination: Option<MigrationSample>,
    /// Whether the guest ran at the destination before its memory was there.
    pub postcopy: bool,
    /// The highest throttle level that was seen, percent; none when QEMU never throttled.
    pub peak_throttle_percent: Option<u64>,
}
