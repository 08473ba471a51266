//! The writer's loop. It neither allocates nor locks, and its only system call is the wait for the next batch.

use super::{control::Control, visitor::Visitor};
use crate::{
    clock::Clock,
    pace::{BATCH, Batch, Pacer},
    pattern::{AddressPattern, Reads},
    tally::{LONG_NS, VisitTally},
    units::PageIndex,
};

/// A sleeping writer looks this often whether it is to stop.
const SLICE_NS: u64 = 50_000_000;

/// What one writer works with.
pub(super) struct Work {
    pub(super) pacer: Pacer,
    pub(super) pattern: Box<dyn AddressPattern>,
    pub(super) reads: Reads,
    pub(super) visitor: Visitor,
    /// Whether each visit is timed.
    pub(super) timed: bool,
}

/// The visits of a batch.
#[derive(Clone, Copy)]
struct Visits<'a> {
    pages: &'a [PageIndex],
    only_reads: &'a [bool],
    intended_ns: &'a [u64],
}

/// Visits done so far.
#[derive(Default)]
struct Sums {
    writes: u64,
    reads: u64,
}

impl Sums {
    #[inline]
    fn add(&mut self, only_read: bool) {
        self.reads += u64::from(only_read);
        self.writes += u64::from(!only_read);
    }
}

/// Visits pages until told to stop; returns how many.
///
/// Drawing pages and waiting belong to no visit. Pages drawn for visits that were given up are kept for the next ones:
/// a lap misses no page.
pub(super) fn run<C: Clock>(clock: &C, control: &Control, tally: &VisitTally, work: &mut Work) -> u64 {
    let mut pages = [PageIndex(0); BATCH];
    // Without a schedule a visit is intended when it begins, and no earlier.
    let mut intended_ns = [u64::MAX; BATCH];
    let mut only_reads = [false; BATCH];
    let (mut sums, mut drawn) = (Sums::default(), 0);
    loop {
        let batch = work.pacer.next(&mut intended_ns);
        let count = batch.visits;
        if drawn < count {
            work.pattern.fill(&mut pages[drawn..count]);
            work.reads.fill(&mut only_reads[drawn..count]);
            drawn = count;
        }
        let Some(start_ns) = wait(clock, control, &batch) else { return sums.writes + sums.reads };
        let until_ns = work.pacer.released(start_ns, &batch);
        let visits = Visits {
            pages: &pages[..count],
            only_reads: &only_reads[..count],
            intended_ns: &intended_ns[..count],
        };
        work.visitor.approach(visits.pages);
        let mut round = Round { control, tally, visitor: &mut work.visitor, sums: &mut sums, until_ns };
        let (done, end_ns) =
            if work.timed { round.timed(clock, start_ns, visits) } else { round.untimed(start_ns, visits) };
        if done < count {
            tally.miss(work.pacer.give_up(end_ns, count - done));
        }
        pages.copy_within(done..drawn, 0);
        only_reads.copy_within(done..drawn, 0);
        drawn -= done;
    }
}

/// What a batch is done with.
struct Round<'a> {
    control: &'a Control,
    tally: &'a VisitTally,
    visitor: &'a mut Visitor,
    sums: &'a mut Sums,
    /// No visit begins later.
    until_ns: u64,
}

impl Round<'_> {
    /// One stamp of time a visit: each ends when the next begins. Returns how many were done, and when that was.
    #[inline]
    fn timed<C: Clock>(&mut self, clock: &C, mut start_ns: u64, visits: Visits<'_>) -> (usize, u64) {
        let (mut done, tally) = (0, self.tally);
        for (only_read, intended_ns) in visits.only_reads.iter().zip(visits.intended_ns) {
            if start_ns > self.until_ns {
                break;
            }
            tally.open(start_ns);
            self.visit(visits.pages, done, *only_read, start_ns);
            let end_ns = clock.now_ns();
            tally.close(start_ns, end_ns, *intended_ns);
            self.sums.add(*only_read);
            self.count();
            if end_ns.saturating_sub(start_ns) >= LONG_NS {
                tally.long.record(&self.visitor.long_visit(start_ns, end_ns, self.sums.writes));
            }
            start_ns = end_ns;
            done += 1;
        }
        tally.idle();
        (done, start_ns)
    }

    /// The whole batch or, when it is too late for it, nothing of it. Returns as `timed` does.
    #[inline]
    fn untimed(&mut self, start_ns: u64, visits: Visits<'_>) -> (usize, u64) {
        if start_ns > self.until_ns {
            return (0, start_ns);
        }
        for (index, only_read) in visits.only_reads.iter().enumerate() {
            self.visit(visits.pages, index, *only_read, start_ns);
            self.sums.add(*only_read);
        }
        self.count();
        (visits.pages.len(), start_ns)
    }

    #[inline]
    fn visit(&mut self, pages: &[PageIndex], index: usize, only_read: bool, now_ns: u64) {
        if only_read {
            self.visitor.read(pages, index, now_ns);
        } else {
            self.visitor.visit(pages, index, now_ns, self.control);
        }
    }

    #[inline]
    fn count(&self) {
        self.tally.wrote(self.sums.writes);
        self.tally.read(self.sums.reads);
    }
}

/// Waits until the batch may begin: asleep, then spinning. Returns the time; none when it is stop instead.
fn wait<C: Clock>(clock: &C, control: &Control, batch: &Batch) -> Option<u64> {
    let wake_ns = batch.release_ns.saturating_sub(batch.spin_ns);
    loop {
        if control.stopped() {
            return None;
        }
        let now_ns = clock.now_ns();
        if now_ns >= batch.release_ns {
            return Some(now_ns);
        }
        if now_ns < wake_ns {
            clock.sleep_until(wake_ns.min(now_ns.saturating_add(SLICE_NS)));
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests;
