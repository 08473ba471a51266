//! The writer's loop. It neither allocates nor locks, and its only system call is the wait for the next batch. Orders are
//! taken up outside of it.

use super::{
    control::Control,
    dirty::DirtyPart,
    order::Order,
    status::WriterStatus,
    unit,
    visitor::Visitor,
    work::{Drawn, Sums, Work},
};
use crate::{
    clock::Clock,
    pace::{BATCH, Batch, Pacer},
    tally::VisitTally,
    units::PageIndex,
};
use std::sync::mpsc::Receiver;

/// A sleeping writer looks this often whether there are orders.
const SLICE_NS: u64 = 50_000_000;
/// How long a writer may look at its pages while the load waits.
const SWEEP_LIMIT_NS: u64 = 2_000_000_000;

/// The visits of a batch.
#[derive(Clone, Copy)]
struct Visits<'a> {
    pages: &'a [PageIndex],
    only_reads: &'a [bool],
    /// Whether any visit may be one that only reads.
    reads: bool,
    intended_ns: &'a [u64],
}

/// Visits pages until told to stop, and takes up each order; returns how many visits were done.
pub(super) fn run<C: Clock>(
    clock: &C,
    control: &Control,
    (tally, status): (&VisitTally, &WriterStatus),
    orders: &Receiver<Order>,
    work: &mut Work,
) -> u64 {
    loop {
        // Before looking for orders: one that comes meanwhile makes the loop return at once.
        let taken_up = control.orders();
        while let Ok(order) = orders.try_recv() {
            take_up(order, (clock, control), (tally, status), work);
        }
        if control.stopped() {
            return work.sums.writes + work.sums.reads;
        }
        if work.undone > 0 {
            give_up(
                clock.now_ns(),
                (&mut work.pacer, &mut work.sums),
                tally,
                std::mem::take(&mut work.undone),
            );
        }
        if work.computes {
            compute_until_called(clock, (control, taken_up), tally, work);
        } else if work.only_stores() {
            store_until_called(clock, (control, taken_up), tally, work);
        } else {
            visit_until_called(clock, (control, taken_up), tally, work);
        }
    }
}

/// Does what is ordered, between two batches.
fn take_up<C: Clock>(
    order: Order,
    (clock, control): (&C, &Control),
    (tally, status): (&VisitTally, &WriterStatus),
    work: &mut Work,
) {
    match order {
        Order::Change(change) => change.take_up((tally, status), work),
        Order::Sweep => {
            let limit_ns = clock.now_ns().saturating_add(SWEEP_LIMIT_NS);
            let is_over = || clock.now_ns() >= limit_ns || control.stopped();
            status.swept(work.visitor.sweep(clock, is_over, false));
        }
        Order::Mark(written) => {
            work.visitor.mark(written);
            status.mark();
        }
        Order::Dirty(part) => status.dirties(dirty((clock, control), tally, work, part)),
    }
}

/// The next batch once it is due, and when that was; none where there are orders to take up, which it is held for.
#[inline]
fn due_batch<C: Clock>(
    clock: &C,
    (control, taken_up): (&Control, u32),
    work: &mut Work,
) -> Option<(Batch, u64)> {
    let held = work.drawn.held.take();
    let batch = held.unwrap_or_else(|| work.pacer.next(&mut work.drawn.intended_ns));
    if let Some(start_ns) = wait(clock, (control, taken_up), &batch) {
        return Some((batch, start_ns));
    }
    work.drawn.held = Some(batch);
    None
}

/// Stores into pages until there are orders to take up, where visits are stores and nothing else. A batch that is too late is
/// given up whole.
fn store_until_called<C: Clock>(
    clock: &C,
    (control, taken_up): (&Control, u32),
    tally: &VisitTally,
    work: &mut Work,
) {
    while let Some((batch, start_ns)) = due_batch(clock, (control, taken_up), work) {
        if start_ns <= work.pacer.released(start_ns, &batch) {
            work.store(batch.visits);
            tally.wrote(work.sums.writes);
        } else if !gives_up_rest(start_ns, (control, taken_up), tally, work, batch.visits) {
            return;
        }
    }
}

/// Computes until there are orders to take up: units of work, paced and timed as visits are.
fn compute_until_called<C: Clock>(
    clock: &C,
    (control, taken_up): (&Control, u32),
    tally: &VisitTally,
    work: &mut Work,
) {
    while let Some((batch, start_ns)) = due_batch(clock, (control, taken_up), work) {
        let until_ns = work.pacer.released(start_ns, &batch);
        let mut round = Round { control, tally, visitor: &mut work.visitor, sums: &mut work.sums, until_ns };
        let intended_ns = &work.drawn.intended_ns[..batch.visits];
        let unit = |round: &mut Round<'_>, _: usize, now_ns: u64| {
            unit::compute(now_ns);
            round.sums.writes += 1;
            round.count();
        };
        let (done, end_ns) = if work.timed {
            round.chain(clock, start_ns, intended_ns, unit)
        } else if start_ns <= until_ns {
            (0..batch.visits).for_each(|index| unit(&mut round, index, start_ns));
            (batch.visits, start_ns)
        } else {
            (0, start_ns)
        };
        let undone = batch.visits - done;
        if undone > 0 && !gives_up_rest(end_ns, (control, taken_up), tally, work, undone) {
            return;
        }
    }
}

/// Visits pages until there are orders to take up.
///
/// Drawing pages and waiting belong to no visit. Pages drawn for visits that were given up are kept for the next ones:
/// a lap misses no page.
fn visit_until_called<C: Clock>(
    clock: &C,
    (control, taken_up): (&Control, u32),
    tally: &VisitTally,
    work: &mut Work,
) {
    loop {
        let Drawn { pages, only_reads, count: drawn, intended_ns, held } = &mut *work.drawn;
        let batch = held.take().unwrap_or_else(|| work.pacer.next(intended_ns));
        let count = batch.visits;
        if *drawn < count {
            work.pattern.fill(&mut pages[*drawn..count]);
            work.reads.fill(&mut only_reads[*drawn..count]);
            *drawn = count;
        }
        work.visitor.prepare(&pages[..count]);
        let Some(start_ns) = wait(clock, (control, taken_up), &batch) else {
            *held = Some(batch);
            return;
        };
        let until_ns = work.pacer.released(start_ns, &batch);
        let visits = Visits {
            pages: &pages[..count],
            only_reads: &only_reads[..count],
            reads: !work.reads.is_never(),
            intended_ns: &intended_ns[..count],
        };
        work.visitor.approach(visits.pages);
        let mut round = Round { control, tally, visitor: &mut work.visitor, sums: &mut work.sums, until_ns };
        let (done, end_ns) =
            if work.timed { round.timed(clock, start_ns, visits) } else { round.untimed(start_ns, visits) };
        work.visitor.catch_up();
        work.drawn.take(done);
        if done < count && !gives_up_rest(end_ns, (control, taken_up), tally, work, count - done) {
            return;
        }
    }
}

/// Writes each page of `part`, as fast as can be: a visit is due when it begins. Returns how many were written.
fn dirty<C: Clock>(
    (clock, control): (&C, &Control),
    tally: &VisitTally,
    work: &mut Work,
    mut part: DirtyPart,
) -> u64 {
    let before = work.sums.writes;
    while !control.stopped() {
        let pages = part.draw();
        if pages.is_empty() {
            break;
        }
        let count = pages.len();
        let visits = Visits {
            pages,
            only_reads: &[false; BATCH][..count],
            reads: false,
            intended_ns: &[u64::MAX; BATCH][..count],
        };
        work.visitor.prepare(pages);
        work.visitor.approach(pages);
        let (visitor, sums) = (&mut work.visitor, &mut work.sums);
        let mut round = Round { control, tally, visitor, sums, until_ns: u64::MAX };
        let start_ns = clock.now_ns();
        if work.timed {
            round.timed(clock, start_ns, visits)
        } else {
            round.untimed(start_ns, visits)
        };
        work.visitor.catch_up();
    }
    work.pattern = part.anew;
    work.drawn.forget();
    work.sums.writes - before
}

/// Gives up the last `undone` visits of a batch that took too long, unless there are orders. Another load may have ended this
/// one's schedule long ago: then it says what is given up.
fn gives_up_rest(
    now_ns: u64,
    (control, taken_up): (&Control, u32),
    tally: &VisitTally,
    work: &mut Work,
    undone: usize,
) -> bool {
    let is_called = control.orders() != taken_up;
    if is_called {
        work.undone = undone;
    } else {
        give_up(now_ns, (&mut work.pacer, &mut work.sums), tally, undone);
    }
    !is_called
}

/// Gives up the last `undone` visits of a batch, and all others that are too late at `now_ns`.
fn give_up(now_ns: u64, (pacer, sums): (&mut Pacer, &mut Sums), tally: &VisitTally, undone: usize) {
    let missed = pacer.give_up(now_ns, undone);
    sums.missed += missed;
    tally.miss(missed);
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
    /// One stamp of time a visit: each ends when the next begins. Where pages may have to come first, each visit begins with
    /// the wait for its page, which is timed by itself. Returns how many were done, and when that was.
    #[inline]
    fn timed<C: Clock>(&mut self, clock: &C, start_ns: u64, visits: Visits<'_>) -> (usize, u64) {
        let may_wait = self.visitor.is_marked();
        if self.visitor.only_renews() && !visits.reads && !may_wait {
            let renew = |round: &mut Self, index: usize, now_ns: u64| {
                round.visitor.renew(visits.pages, index, now_ns, round.control);
                round.sums.writes += 1;
                round.tally.wrote(round.sums.writes);
            };
            return self.chain(clock, start_ns, visits.intended_ns, renew);
        }
        self.chain(clock, start_ns, visits.intended_ns, |round, index, now_ns| {
            let page = visits.pages[index];
            let earlier = if may_wait { round.visitor.await_page(clock, page) } else { 0 };
            round.visit(visits, index, now_ns);
            if may_wait {
                round.visitor.saturate(page, earlier);
            }
            round.count();
        })
    }

    #[inline(always)]
    fn chain<C: Clock>(
        &mut self,
        clock: &C,
        mut start_ns: u64,
        intended_ns: &[u64],
        visit: impl Fn(&mut Self, usize, u64),
    ) -> (usize, u64) {
        let (mut done, tally) = (0, self.tally);
        for intended_ns in intended_ns {
            if start_ns > self.until_ns {
                break;
            }
            tally.open(start_ns);
            visit(self, done, start_ns);
            let end_ns = clock.now_ns();
            tally.close(start_ns, end_ns, *intended_ns);
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
        (0..visits.pages.len()).for_each(|index| self.visit(visits, index, start_ns));
        self.count();
        (visits.pages.len(), start_ns)
    }

    #[inline]
    fn visit(&mut self, visits: Visits<'_>, index: usize, now_ns: u64) {
        let only_read = visits.only_reads[index];
        if only_read {
            self.visitor.read(visits.pages, index, now_ns);
        } else {
            self.visitor.visit(visits.pages, index, now_ns, self.control);
        }
        self.sums.add(only_read);
    }

    #[inline]
    fn count(&self) {
        self.tally.wrote(self.sums.writes);
        self.tally.read(self.sums.reads);
    }
}

/// Waits until the batch may begin: asleep, then spinning. Returns the time; none when there are orders instead.
fn wait<C: Clock>(clock: &C, (control, taken_up): (&Control, u32), batch: &Batch) -> Option<u64> {
    let wake_ns = batch.release_ns.saturating_sub(batch.spin_ns);
    loop {
        let now_ns = clock.now_ns();
        // After the reading, which may have taken long: what was ordered meanwhile comes before the batch.
        if control.orders() != taken_up {
            return None;
        }
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
mod switches;
#[cfg(test)]
mod tests;
