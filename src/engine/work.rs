//! What one writer works with, from order to order.

use super::visitor::Visitor;
use crate::{
    pace::{BATCH, Batch, Pacer},
    pattern::{AddressPattern, Reads},
    units::PageIndex,
};

/// What one writer works with.
pub(super) struct Work {
    pub(super) pacer: Pacer,
    pub(super) pattern: Box<dyn AddressPattern>,
    pub(super) reads: Reads,
    pub(super) visitor: Visitor,
    /// Whether its visits are units of work that touch no memory.
    pub(super) computes: bool,
    /// Whether each visit is timed.
    pub(super) timed: bool,
    pub(super) drawn: Box<Drawn>,
    pub(super) sums: Sums,
    /// Visits of the last batch that were too late for it, and are not given up yet because there were orders.
    pub(super) undone: usize,
}

impl Work {
    /// Whether each visit is one store and nothing else.
    pub(super) fn only_stores(&self) -> bool {
        !self.timed && self.reads.is_never() && self.visitor.only_stores()
    }

    /// Does so many visits, each of which is one store: first those to the pages that are drawn already.
    pub(super) fn store(&mut self, visits: usize) {
        let early = self.drawn.count.min(visits);
        self.visitor.store(&self.drawn.pages[..early]);
        self.drawn.take(early);
        let (mut left, at_once) = (visits - early, self.pattern.best_at_once().clamp(1, BATCH));
        while left > 0 {
            // None of those that were drawn are left here.
            let now = &mut self.drawn.pages[..left.min(at_once)];
            self.pattern.fill(now);
            self.visitor.store(now);
            left -= now.len();
        }
        self.sums.writes += visits as u64;
    }
}

/// Visits drawn and not done yet.
pub(super) struct Drawn {
    pub(super) pages: [PageIndex; BATCH],
    pub(super) only_reads: [bool; BATCH],
    pub(super) count: usize,
    /// When those of the batch are due. Without a schedule a visit is intended when it begins, and no earlier.
    pub(super) intended_ns: [u64; BATCH],
    /// A batch that was not begun because there were orders.
    pub(super) held: Option<Batch>,
}

impl Drawn {
    /// None. On a stack they would spread over pages of which each batch dirties a few bytes.
    #[inline(never)]
    pub(super) fn none() -> Box<Self> {
        let (pages, only_reads) = ([PageIndex(0); BATCH], [false; BATCH]);
        Box::new(Self { pages, only_reads, count: 0, intended_ns: [u64::MAX; BATCH], held: None })
    }

    /// Their pages and which of them only read stay as drawn, but they are due anew.
    pub(super) const fn reschedule(&mut self) {
        self.intended_ns = [u64::MAX; BATCH];
        self.held = None;
    }

    /// The first `done` of them are done.
    pub(super) fn take(&mut self, done: usize) {
        self.pages.copy_within(done..self.count, 0);
        self.only_reads.copy_within(done..self.count, 0);
        self.count -= done;
    }

    /// They are not to be done.
    pub(super) const fn forget(&mut self) {
        self.count = 0;
    }

    /// Which of them only read is chosen anew.
    pub(super) fn choose(&mut self, reads: &mut Reads) {
        reads.fill(&mut self.only_reads[..self.count]);
    }
}

/// Visits done and given up so far.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) writes: u64,
    pub(super) reads: u64,
    pub(super) missed: u64,
}

impl Sums {
    /// Of all kinds together.
    pub(super) const fn past(&self) -> u64 {
        self.writes + self.reads + self.missed
    }

    #[inline]
    pub(super) fn add(&mut self, only_read: bool) {
        self.reads += u64::from(only_read);
        self.writes += u64::from(!only_read);
    }
}
