//! Visits counted by the epoch that they belong to, cut exactly where an epoch ends.
//!
//! **How an epoch is closed.** The reader begins an epoch by counting it up, and may be kept from reading for long after
//! that; what the writer counts meanwhile belongs to the new epoch and must not be taken for the old one's. So the writer
//! closes the old one itself: with the first visit that finds another epoch, before that visit counts, it leaves its sums
//! in the slot of the new epoch (there are two, by parity) and then says that it is on it. A reader takes what was left
//! where the writer is on the new epoch, and where it is not (it sleeps, or hangs in a fault) the sums as they are, which
//! hold nothing of the new epoch then. So neither waits for the other; a visit under way while the epoch begins counts in
//! the interval in which it ends. The writer's cost is one comparison a visit.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Visits that wrote a stamp: of pages met for the first time in their epoch, and of others.
type Visits = [AtomicU64; 2];

/// Cumulative visits of one writer.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    visits: Visits,
    /// The epoch of the visit that came last.
    epoch: AtomicU32,
    /// What `visits` were when an epoch began, by its parity: one stays while the other is written.
    closed: [Visits; 2],
}

impl Epochs {
    /// A page was written in `epoch`, `again` or for the first time in it. Only the writer itself calls this.
    #[inline(always)]
    pub(super) fn visited(&self, epoch: u32, again: bool) {
        if epoch != self.epoch.load(Ordering::Relaxed) {
            self.close(epoch);
        }
        let count = &self.visits[usize::from(again)];
        // Released: whoever sees it sees the close before it.
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// Leaves the sums of all epochs before `epoch`, and is on it.
    #[cold]
    fn close(&self, epoch: u32) {
        let slot = &self.closed[epoch as usize % 2];
        for (closed, visits) in slot.iter().zip(&self.visits) {
            closed.store(visits.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.epoch.store(epoch, Ordering::Release);
    }

    /// What was visited before `epoch`, which the reader has just begun. Never waits: looks a second time at most where the
    /// writer closes meanwhile.
    pub(super) fn before(&self, epoch: u32) -> (u64, u64) {
        let sums = |visits: &Visits| (visits[0].load(Ordering::Acquire), visits[1].load(Ordering::Acquire));
        let is_closed = || self.epoch.load(Ordering::Acquire) == epoch;
        if !is_closed() {
            let sums = sums(&self.visits);
            if !is_closed() {
                return sums;
            }
        }
        sums(&self.closed[epoch as usize % 2])
    }
}
