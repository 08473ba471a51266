//! Orders to a running writer, prepared outside of it, and what it says of those it has taken up.
//!
//! An order travels in a channel of its own and is taken up between two batches. A new load ends the schedule of the one
//! before: what was due of it and is neither done nor given up is given up now, so that visits offered are always visits
//! done, missed and in the backlog. Pages, stamps and counts carry on, and so does the pattern where it stays the same.

use super::{control::Control, work::Work};
use crate::{
    clock::Clock,
    content::Palette,
    pace::Pacer,
    pattern::{AddressPattern, Reads},
    tally::VisitTally,
};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How long a writer may look at its pages while the load waits.
const SWEEP_LIMIT_NS: u64 = 2_000_000_000;

/// What a running writer is to do.
pub(super) enum Order {
    /// Go on with another load.
    Change(Box<Change>),
    /// Look at every page now.
    Sweep,
    /// Remember how often each page was written, in this memory, and tell of visits that take too long from now on.
    Mark(Box<[u16]>),
}

/// Another load for one writer.
pub(super) struct Change {
    /// From when on it holds; the schedule before ends there.
    pub(super) at_ns: u64,
    pub(super) pacer: Pacer,
    /// None: the one before goes on, where it is.
    pub(super) pattern: Option<Box<dyn AddressPattern>>,
    /// All visits of a second, for patterns that drift with time.
    pub(super) visits_per_s: u64,
    /// The most visits of a second of this writer's own; none for as many as there can be.
    pub(super) own_visits_per_s: Option<u64>,
    /// None: the choice goes on.
    pub(super) reads: Option<Reads>,
    /// None: visits write what they wrote.
    pub(super) palette: Option<Palette>,
}

/// What a writer says of its orders; only the writer stores to it.
#[derive(Debug, Default)]
pub(super) struct Station {
    changes: AtomicU32,
    /// Visits done and given up when the last change was taken up, and when the one before was: the older one stays
    /// while the newer one is written.
    past: [AtomicU64; 2],
    sweeps: AtomicU32,
    swept: AtomicU64,
    marks: AtomicU32,
}

/// The loads a writer has taken up, and the visits past by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TakenUp {
    pub(super) changes: u32,
    pub(super) past: u64,
}

impl Station {
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

    fn take_up(&self, past: u64) {
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

    fn swept(&self, pages: u64) {
        self.swept.store(self.swept.load(Ordering::Relaxed) + pages, Ordering::Relaxed);
        self.sweeps.store(self.sweeps.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

impl Order {
    /// Does it; called by the writer, between two batches.
    pub(super) fn take_up<C: Clock>(
        self,
        (clock, control): (&C, &Control),
        (tally, station): (&VisitTally, &Station),
        work: &mut Work,
    ) {
        match self {
            Self::Change(change) => change.take_up((tally, station), work),
            Self::Sweep => {
                let limit_ns = clock.now_ns().saturating_add(SWEEP_LIMIT_NS);
                let is_over = || clock.now_ns() >= limit_ns || control.stopped();
                station.swept(work.visitor.sweep(clock, is_over, false));
            }
            Self::Mark(written) => {
                work.visitor.mark(written);
                station.marks.store(station.marks().wrapping_add(1), Ordering::Release);
            }
        }
    }
}

impl Change {
    fn take_up(self, (tally, station): (&VisitTally, &Station), work: &mut Work) {
        let begun = station.taken_up().past;
        let owed = work.pacer.offered(self.at_ns).saturating_sub(work.sums.past() - begun);
        work.sums.missed += owed;
        tally.miss(owed);
        work.undone = 0;
        work.pacer = self.pacer;
        work.drawn.reschedule();
        if let Some(pattern) = self.pattern {
            work.pattern = pattern;
            work.drawn.forget();
        }
        work.pattern.set_pace(self.visits_per_s);
        work.visitor.set_pace(self.own_visits_per_s);
        if let Some(reads) = self.reads {
            work.reads = reads;
            work.drawn.choose(&mut work.reads);
        }
        if let Some(palette) = self.palette {
            work.visitor.set_palette(palette);
        }
        station.take_up(work.sums.past());
    }
}
