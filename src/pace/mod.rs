//! When each visit is due, and when it may begin: pure arithmetic, no clock.
//!
//! **Schedule.** At constant pace the visits of all writers together are due at `t0 + g / rate` seconds,
//! g = 0, 1, 2, ...; writer w of W takes g = w, w + W, w + 2W, ... The figures are exact: whole seconds and a remainder
//! are kept, nothing rounded is ever added up, so the schedule does not drift. The other paces have the same visits at
//! other times: bursts squeeze each cycle of them into its beginning, Poisson arrivals fall anywhere in their block. A
//! ramp has the visits of a rate that changes evenly, at times as exact.
//!
//! **Batches.** Waking up costs more than a visit, so a writer wakes once for all visits that are due within one
//! beat ([`BEAT_NS`], at most [`BATCH`]) and does them at its beginning, without waiting in between. A visit may
//! therefore run up to a beat ahead of its intended start: its response counts from the earlier of the two, and then
//! equals its service. At constant pace the load has no burst longer than a beat.
//!
//! **Waking.** Beats begin at the same moments for everything of ours on a CPU ([`Beats`]): one interrupt wakes the canary and the
//! writer, which costs hardly more than waking one of them. A visit that is alone in its beat keeps its own moment: the
//! writer sleeps until shortly before and spins for the rest, a hundredth of the time to the next visit, at most
//! [`SPIN_LIMIT_NS`].
//!
//! **Ticks.** Timers may wake with the kernel's tick alone, every 1 to 10 ms (no high-resolution timers). Beats are then as long as a tick, and a
//! writer asks to be woken a tick before its beat: so visits run ahead and none is late because of the timer. All batches of a beat are
//! done at once, since there is no waking within it.
//!
//! **Backlog.** What a stall delayed is repaid by running through the schedule faster, at most as many times as
//! `--catch-up` says: a batch that covers a span of the schedule holds the next one back for that part of the span.
//! Lateness of up to half a beat, or a tick, is made up at once: a wake-up a little late must not cost rate for ever. Where a backlog is
//! never repaid (a factor of 1) beats are half as long, so that a late one and the next make no burst of more than a ms.
//! To shed is to give up, when a batch begins, all visits more than [`PATIENCE_NS`] (and a tick) late, and within a batch the rest of it once
//! that is twice as late.

mod beats;
mod burst;
mod even;
mod pacer;
mod part;
mod poisson;
mod ramp;
mod schedule;

pub use beats::{BEAT_NS, Beats};
pub use pacer::{Batch, Pacer};
pub use part::Part;
pub use schedule::{Schedule, Starts};

/// The most visits of one batch.
pub const BATCH: usize = 256;

/// The longest time a writer spins before a batch.
pub const SPIN_LIMIT_NS: u64 = 60_000;

/// When a backlog is shed, visits that are later than this when their batch begins are given up.
pub const PATIENCE_NS: u64 = 10_000_000;
