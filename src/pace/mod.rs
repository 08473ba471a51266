//! When each visit is due, and when it may begin: pure arithmetic, no clock.
//!
//! **Schedule.** At constant pace the visits of all writers together are due at `t0 + g / rate` seconds,
//! g = 0, 1, 2, ...; writer w of W takes g = w, w + W, w + 2W, ... The figures are exact: whole seconds and a remainder
//! are kept, nothing rounded is ever added up, so the schedule does not drift. The other paces have the same visits at
//! other times: bursts squeeze each cycle of them into its beginning, Poisson arrivals fall anywhere in their block. A
//! ramp has the visits of a rate that changes evenly, at times as exact.
//!
//! **Batches.** Waking up costs more than a visit, so a writer wakes once for all visits that are due within
//! [`SPAN_NS`] of the first (at most [`BATCH`]) and does them without waiting in between. A visit may therefore run up
//! to [`SPAN_NS`] ahead of its intended start: its response counts from the earlier of the two, and then equals its
//! service. At constant pace the load has no burst longer than that span.
//!
//! **Waking.** The writer sleeps until shortly before the first visit is due and spins for the rest: a hundredth of
//! the batch's span on schedule, at most [`SPIN_LIMIT_NS`], so that spinning never costs more than 1 % of a CPU.
//!
//! **Backlog.** What a stall delayed is repaid by running through the schedule faster, at most as many times as
//! `--catch-up` says: a batch that covers a span of the schedule holds the next one back for that part of the span.
//! Lateness of up to [`SPAN_NS`] is made up at once: a wake-up a little late must not cost rate for ever. To shed is
//! to give up, when a batch begins, all visits more than [`PATIENCE_NS`] late, and within a batch the rest of it once
//! that is twice as late.

mod burst;
mod even;
mod pacer;
mod part;
mod poisson;
mod ramp;
mod schedule;

pub use pacer::{Batch, Pacer};
pub use part::Part;
pub use schedule::{Schedule, Starts};

/// Visits due within this span of the first one are one batch.
pub const SPAN_NS: u64 = 500_000;

/// The most visits of one batch.
pub const BATCH: usize = 256;

/// The longest time a writer spins before a batch.
pub const SPIN_LIMIT_NS: u64 = 60_000;

/// When a backlog is shed, visits that are later than this when their batch begins are given up.
pub const PATIENCE_NS: u64 = 10_000_000;
