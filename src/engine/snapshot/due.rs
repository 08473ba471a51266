//! Visits that were due: done, given up, and still to be done.

/// What became of the visits of some writers that were due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Due {
    /// Always the sum of those done, missed and in the backlog.
    pub(super) offered: u64,
    pub(super) missed: u64,
    pub(super) backlog: u64,
}

impl Due {
    /// Of one writer.
    ///
    /// Writers run up to a batch ahead: a visit that is done counts as offered, and what one writer is ahead does not
    /// hide what another is behind.
    pub(super) fn new(offered: u64, done: u64, missed: u64) -> Self {
        let past = done.saturating_add(missed);
        let offered = offered.max(past);
        Self { offered, missed, backlog: offered - past }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.offered += other.offered;
        self.missed += other.missed;
        self.backlog += other.backlog;
    }
}
