//! The writer's loop. It neither allocates nor locks, and its only system call is the wait for the next batch.

use super::{control::Control, visitor::Visitor};
use crate::{
    clock::Clock,
    pace::{BATCH, Batch, Pacer},
    pattern::AddressPattern,
    tally::VisitTally,
    units::PageIndex,
};

/// A sleeping writer looks this often whether it is to stop.
const SLICE_NS: u64 = 50_000_000;

/// What one writer works with.
pub(super) struct Work {
    pub(super) pacer: Pacer,
    pub(super) pattern: Box<dyn AddressPattern>,
    pub(super) visitor: Visitor,
    /// Whether each visit is timed.
    pub(super) timed: bool,
}

/// Visits pages until told to stop; returns how many.
///
/// One stamp a visit: each ends when the next begins. Drawing pages and waiting belong to no visit.
pub(super) fn run<C: Clock>(clock: &C, control: &Control, tally: &VisitTally, work: &mut Work) -> u64 {
    let mut pages = [PageIndex(0); BATCH];
    // Without a schedule a visit is intended when it begins, and no earlier.
    let mut intended_ns = [u64::MAX; BATCH];
    let mut visits = 0;
    loop {
        let batch = work.pacer.next(&mut intended_ns);
        let pages = &mut pages[..batch.visits];
        work.pattern.fill(pages);
        let Some(mut start_ns) = wait(clock, control, &batch) else { return visits };
        work.pacer.released(start_ns, &batch);
        work.visitor.approach(pages);
        if work.timed {
            for (index, intended_ns) in intended_ns.iter().enumerate().take(pages.len()) {
                tally.open(start_ns);
                work.visitor.visit(pages, index, start_ns, control);
                let end_ns = clock.now_ns();
                tally.close(start_ns, end_ns, *intended_ns);
                start_ns = end_ns;
            }
            tally.idle();
        } else {
            (0..pages.len()).for_each(|index| work.visitor.visit(pages, index, start_ns, control));
            tally.count(batch.visits as u64);
        }
        visits += batch.visits as u64;
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
