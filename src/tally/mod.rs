//! What was counted: cumulative cells with one writer each, and readers that only load.
//!
//! A writer stuck in a fault is exactly when a report is wanted, so nobody ever waits for anybody here: the writer
//! stores, the reader loads and subtracts what it loaded before.

mod cells;
mod epochs;
mod gaps;
mod ring;
mod stamps;
mod visits;

pub use cells::Cells;
pub use gaps::{GapCounts, GapTally, RawGap};
pub use ring::{RING_RECORDS, RING_WORDS, Ring};
pub use stamps::{Find, LongWait, StampCounts, StampTally, Told};
pub use visits::{Latencies, VisitCounts, VisitTally};

use std::sync::atomic::{AtomicU64, Ordering};

/// Adds to a cell that only the calling thread stores to: a load and a store, no locked instruction.
#[inline(always)]
fn add(cell: &AtomicU64, amount: u64) {
    cell.store(cell.load(Ordering::Relaxed).saturating_add(amount), Ordering::Relaxed);
}
