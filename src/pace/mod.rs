//! When each visit is due, and when it may begin: pure arithmetic, no clock.
//!
//! **Schedule.** The visits of all writers together are due at `t0 + g / rate` seconds, g = 0, 1, 2, ...; writer w of
//! W takes g = w, w + W, w + 2W, ... The figures are exact: whole seconds and a remainder are kept, nothing rounded
//! is ever added up, so the schedule does not drift.
//!
//! **Batches.** Waking up costs more than a visit, so a writer wakes once for all visits that are due within
//! [`SPAN_NS`] of the first (at most [`BATCH`]) and does them without waiting in between. A visit may therefore run up
//! to [`SPAN_NS`] ahead of its intended start: its response counts from the earlier of the two, and then equals its
//! service. The load has no burst longer than that span.
//!
//! **Waking.** The writer sleeps until shortly before the first visit is due and spins for the rest: a hundredth of
//! the batch's period, at most [`SPIN_LIMIT_NS`], so that spinning never costs more than 1 % of a CPU.
//!
//! **Backlog.** What a stall delayed is repaid, at four times the rate asked for at most: a batch of n visits holds
//! the next one back for a quarter of the time that n visits take on schedule.

mod pacer;
mod schedule;

pub use pacer::{Batch, Pacer};
pub use schedule::Schedule;

/// Visits due within this span of the first one are one batch.
pub const SPAN_NS: u64 = 500_000;

/// The most visits of one batch.
pub const BATCH: usize = 256;

/// The longest time a writer spins before a batch.
pub const SPIN_LIMIT_NS: u64 = 60_000;

/// How many times the rate asked for is reached while a backlog is repaid.
pub const REPAY_FACTOR: u64 = 4;
