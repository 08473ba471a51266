//! The writer's loop. It neither allocates nor locks, and its only system call is the wait for the next batch.

use super::control::Control;
use crate::{
    clock::Clock,
    content::Strokes,
    pace::{BATCH, Batch, Pacer},
    pattern::{AddressPattern, Reads},
    region::Slice,
    tally::VisitTally,
    units::PageIndex,
};

/// A sleeping writer looks this often whether it is to stop.
const SLICE_NS: u64 = 50_000_000;

/// What one writer works with.
pub(super) struct Work {
    pub(super) pacer: Pacer,
    pub(super) pattern: Box<dyn AddressPattern>,
    pub(super) reads: Reads,
    pub(super) slice: Slice,
    pub(super) strokes: Strokes,
}

/// Visits pages until told to stop; returns how many.
///
/// One stamp a visit: each ends when the next begins. Drawing pages and waiting belong to no visit. Pages drawn for
/// visits that were given up are kept for the next ones: a lap misses no page.
pub(super) fn run<C: Clock>(clock: &C, control: &Control, tally: &VisitTally, work: &mut Work) -> u64 {
    let mut pages = [PageIndex(0); BATCH];
    // Without a schedule a visit is intended when it begins, and no earlier.
    let mut intended_ns = [u64::MAX; BATCH];
    let mut only_reads = [false; BATCH];
    let (mut writes, mut reads, mut drawn) = (0, 0, 0);
    loop {
        let batch = work.pacer.next(&mut intended_ns);
        if drawn < batch.visits {
            work.pattern.fill(&mut pages[drawn..batch.visits]);
            work.reads.fill(&mut only_reads[drawn..batch.visits]);
            drawn = batch.visits;
        }
        let Some(mut start_ns) = wait(clock, control, &batch) else { return writes + reads };
        let until_ns = work.pacer.released(start_ns, &batch);
        let mut done = 0;
        let drawn_visits = pages[..batch.visits].iter().zip(&only_reads);
        for ((page, only_reads), intended_ns) in drawn_visits.zip(&intended_ns) {
            if start_ns > until_ns {
                tally.miss(work.pacer.give_up(start_ns, batch.visits - done));
                break;
            }
            tally.open(start_ns);
            if *only_reads {
                work.slice.read(*page);
            } else {
                work.slice.write(*page, work.strokes.draw());
            }
            let end_ns = clock.now_ns();
            tally.close(start_ns, end_ns, *intended_ns);
            if *only_reads {
                reads += 1;
                tally.read(reads);
            } else {
                writes += 1;
                tally.wrote(writes);
            }
            start_ns = end_ns;
            done += 1;
        }
        tally.idle();
        pages.copy_within(done..drawn, 0);
        only_reads.copy_within(done..drawn, 0);
        drawn -= done;
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
