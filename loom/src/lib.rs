//! The files of the guest program in which one thread stores and others load, with loom's atomics: every order of the loads and
//! stores that the memory model allows is tried, those of weakly ordered CPUs too.
//!
//! Taken in as they are; what they need beside them stands here.
#![cfg(loom)]

#[path = "../../src/engine/calls.rs"]
mod calls;
#[path = "../../src/tally/epochs.rs"]
mod epochs;
#[path = "../../src/tally/ring.rs"]
mod ring;
#[path = "../../src/engine/status.rs"]
mod status;

#[cfg(test)]
mod models;

use loom::sync::atomic::{AtomicU64, Ordering};

/// As `tally` has it.
fn add(cell: &AtomicU64, amount: u64) {
    cell.store(cell.load(Ordering::Relaxed).saturating_add(amount), Ordering::Relaxed);
}
