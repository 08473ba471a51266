//! What a writer says of its orders, to be read at any time without waiting.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What a writer says of its orders; only the writer stores to it.
#[derive(Debug, Default)]
pub(super) struct WriterStatus {
    changes: AtomicU32,
    /// Visits done and given up when the last change was taken up, and when the one before was: the older one stays
    /// while the newer one is written.
    past: [AtomicU64; 2],
    sweeps: AtomicU32,
    swept: AtomicU64,
    marks: AtomicU32,
    dirties: AtomicU32,
    dirtied: AtomicU64,
}

/// The loads a writer has taken up, and the visits past by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TakenUp {
    pub(super) changes: u32,
    pub(super) past: u64,
}

impl WriterStatus {
    /// The loads taken up. Never waits: reads anew only as often as the writer has taken up another one meanwhile.
    pub(super) fn taken_up(&self) -> TakenUp {
        let mut changes = self.changes.load(Ordering::Acquire);
        loop {
            let past = self.past[changes as usize % 2].load(Ordering::Acquire);
            let now = self.changes.load(Ordering::Acquire);
            if now == changes {
                return TakenUp { changes, past };
            }
            changes = now;
        }
    }

    /// Another load was taken up, with so many visits past. Only the writer itself calls this.
    pub(super) fn take_up(&self, past: u64) {
        let changes = self.changes.load(Ordering::Relaxed).wrapping_add(1);
        self.past[changes as usize % 2].store(past, Ordering::Release);
        self.changes.store(changes, Ordering::Release);
    }

    /// Sweeps ended so far, and the pages they came to.
    pub(super) fn sweeps(&self) -> (u32, u64) {
        let sweeps = self.sweeps.load(Ordering::Acquire);
        (sweeps, self.swept.load(Ordering::Relaxed))
    }

    /// Marks taken up so far.
    pub(super) fn marks(&self) -> u32 {
        self.marks.load(Ordering::Acquire)
    }

    /// Another sweep ended that came to so many pages. Only the writer itself calls this.
    pub(super) fn swept(&self, pages: u64) {
        self.swept.store(self.swept.load(Ordering::Relaxed) + pages, Ordering::Relaxed);
        self.sweeps.store(self.sweeps.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Orders to dirty so many pages ended so far, and the pages written by them.
    pub(super) fn dirtied(&self) -> (u32, u64) {
        let dirties = self.dirties.load(Ordering::Acquire);
        (dirties, self.dirtied.load(Ordering::Relaxed))
    }

    /// Another such order ended, with so many pages. Only the writer itself calls this.
    pub(super) fn dirties(&self, pages: u64) {
        self.dirtied.store(self.dirtied.load(Ordering::Relaxed) + pages, Ordering::Relaxed);
        self.dirties.store(self.dirties.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Another mark was taken up. Only the writer itself calls this.
    pub(super) fn mark(&self) {
        self.marks.store(self.marks().wrapping_add(1), Ordering::Release);
    }
}
