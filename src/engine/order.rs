//! Orders to a running writer, prepared outside of it, and what it says of those it has taken up.
//!
//! An order travels in a channel of its own and is taken up between two batches. A new load ends the schedule of the one
//! before: what was due of it and is neither done nor given up is given up now, so that visits offered are always visits
//! done, missed and in the backlog. Pages, stamps and counts carry on, and so does the pattern where it stays the same.

use super::{dirty::DirtyPart, status::WriterStatus, work::Work};
use crate::{
    content::PageFiller,
    pace::Pacer,
    pattern::{AddressPattern, Reads},
    tally::VisitTally,
};

/// What a running writer is to do.
pub(super) enum Order {
    /// Go on with another load.
    Change(Box<Change>),
    /// Look at every page now.
    Sweep,
    /// Remember how often each page was written, in this memory, and tell of visits that take too long from now on.
    Mark(Box<[u16]>),
    /// Dirty these pages now. Given only while the load is paused.
    Dirty(DirtyPart),
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
    pub(super) filler: Option<PageFiller>,
}

impl Change {
    /// Does it; called by the writer, between two batches.
    pub(super) fn take_up(self, (tally, status): (&VisitTally, &WriterStatus), work: &mut Work) {
        let begun = status.taken_up().past;
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
        if let Some(filler) = self.filler {
            work.visitor.set_filler(filler);
        }
        status.take_up(work.sums.past());
    }
}
