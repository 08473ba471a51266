//! The counts of one writer's visits.

use super::{Cells, cells::Sums};
use crate::histogram::Counts;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

/// No visit is under way.
const NONE: u64 = 0;

/// Cumulative counts of one writer, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct VisitTally {
    /// When the visit under way began, so that a stall shows while it lasts.
    open_since: AtomicU64,
    missed: AtomicU64,
    /// Visits done that wrote, and that only read.
    writes: AtomicU64,
    reads: AtomicU64,
    /// Of visits on a schedule.
    service: Cells,
    response: Cells,
    /// Of visits without one: response is then service, and is not counted twice.
    unscheduled: Cells,
}

/// What one writer had counted at one moment, but for how long its visits took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisitCounts {
    /// Visits that wrote.
    pub writes: u64,
    /// Visits that only read.
    pub reads: u64,
    /// Visits that were given up.
    pub missed: u64,
    /// When the visit under way began.
    pub open_since_ns: Option<u64>,
}

/// How long the visits of writers had taken at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Latencies {
    /// From actual start to end.
    pub service: Counts,
    /// From intended start to end.
    pub response: Counts,
}

impl Latencies {
    /// All of `tallies` together, summed cell by cell: a list for each writer would be as much memory again, dirtied ten
    /// times a second. They take about as much as `like`, which were taken before.
    ///
    /// Never waits: when writers count during each of a few readings, the last one is taken, and the two histograms may
    /// differ by the visits of that moment.
    pub fn of<'a>(tallies: impl Iterator<Item = &'a VisitTally> + Clone, like: &Self) -> Self {
        const READINGS: usize = 4;
        let used = |table: &&Cells| table.is_used();
        let served = tallies.clone().flat_map(|tally| [&tally.service, &tally.unscheduled]);
        let served: Vec<&Cells> = served.filter(used).collect();
        let responded = tallies.flat_map(|tally| [&tally.response, &tally.unscheduled]);
        let responded: Vec<&Cells> = responded.filter(used).collect();
        let mut readings = 0;
        loop {
            let (service, visits) = Counts::of_cells(&like.service, Sums::of(&served));
            let (response, others) = Counts::of_cells(&like.response, Sums::of(&responded));
            readings += 1;
            if visits == others || readings == READINGS {
                return Self { service, response };
            }
        }
    }
}

impl VisitTally {
    /// Empty counts.
    #[expect(
        clippy::new_without_default,
        reason = "three tables of cells, touched: nothing to have by the way"
    )]
    pub fn new() -> Self {
        Self {
            open_since: AtomicU64::new(NONE),
            missed: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            service: Cells::touched(),
            response: Cells::touched(),
            unscheduled: Cells::touched(),
        }
    }

    /// The memory they take, in bytes.
    pub const fn bytes() -> usize {
        size_of::<Self>() + Cells::BYTES * 3
    }

    /// A visit begins. Only the writer itself calls this.
    #[inline(always)]
    pub fn open(&self, start_ns: u64) {
        self.open_since.store(start_ns, Ordering::Relaxed);
        // The store into the page that follows may hang for seconds: this one must come before it.
        compiler_fence(Ordering::SeqCst);
    }

    /// The visit ended. Only the writer itself calls this.
    ///
    /// A visit that ran ahead of its intended start was not waited for by anybody: it counts from its own start. One
    /// that is intended at the end of time has no schedule.
    #[inline(always)]
    pub fn close(&self, start_ns: u64, end_ns: u64, intended_ns: u64) {
        let service_ns = end_ns.saturating_sub(start_ns);
        if intended_ns == u64::MAX {
            self.unscheduled.record(service_ns);
        } else {
            self.service.record(service_ns);
            self.response.record(end_ns.saturating_sub(start_ns.min(intended_ns)));
        }
    }

    /// So many visits were given up. Only the writer itself calls this.
    #[inline]
    pub fn miss(&self, visits: u64) {
        super::add(&self.missed, visits);
    }

    /// So many visits wrote so far. Only the writer itself calls this, after each that did.
    #[inline(always)]
    pub fn wrote(&self, writes: u64) {
        self.writes.store(writes, Ordering::Relaxed);
    }

    /// So many visits only read so far. Only the writer itself calls this, after each that did.
    #[inline(always)]
    pub fn read(&self, reads: u64) {
        self.reads.store(reads, Ordering::Relaxed);
    }

    /// No visit is under way. Only the writer itself calls this.
    #[inline(always)]
    pub fn idle(&self) {
        self.open_since.store(NONE, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn counts(&self) -> VisitCounts {
        let open_since = self.open_since.load(Ordering::Relaxed);
        VisitCounts {
            writes: self.writes.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
            open_since_ns: (open_since != NONE).then_some(open_since),
        }
    }

    /// How long its visits took so far.
    #[cfg(test)]
    pub fn latencies(&self) -> Latencies {
        Latencies::of(std::iter::once(self), &Latencies::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_visit_waited_and_an_early_one_did_not() {
        let tally = VisitTally::new();
        tally.close(1_000, 1_100, 200);
        tally.close(1_000, 1_100, 5_000);
        let counts = tally.latencies();
        assert_eq!(counts.service.occupied().collect::<Vec<_>>(), [(100, 2)]);
        assert_eq!(counts.response.occupied().map(|(_, count)| count).collect::<Vec<_>>(), [1, 1]);
        assert!(counts.response.max().unwrap().abs_diff(900) < 9);
    }

    #[test]
    fn without_a_schedule_response_is_service() {
        let tally = VisitTally::new();
        tally.close(1_000, 1_100, u64::MAX);
        let counts = tally.latencies();
        assert_eq!((counts.service.count(), &counts.response), (1, &counts.service));
    }

    #[test]
    fn writers_are_summed_each_with_all_its_visits() {
        let tallies = [VisitTally::new(), VisitTally::new()];
        tallies[0].close(1_000, 1_100, 1_000);
        tallies[1].close(1_000, 1_100, 500);
        tallies[1].close(1_000, 1_300, u64::MAX);
        let both = Latencies::of(tallies.iter(), &Latencies::default());
        assert_eq!(both.service.occupied().map(|(_, count)| count).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(both.response.occupied().map(|(_, count)| count).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn writes_and_reads_are_counted_apart() {
        let tally = VisitTally::new();
        tally.wrote(3);
        tally.read(4);
        let counts = tally.counts();
        assert_eq!((counts.writes, counts.reads), (3, 4));
    }

    #[test]
    fn a_stall_shows_while_it_lasts() {
        let tally = VisitTally::new();
        tally.open(77);
        assert_eq!(tally.counts().open_since_ns, Some(77));
        tally.idle();
        assert_eq!(tally.counts().open_since_ns, None);
    }

    #[test]
    fn a_reader_beside_a_counting_writer_never_sees_counts_go_back() {
        const VISITS: u64 = 200_000;
        let tally = VisitTally::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for visit in 0..VISITS {
                    tally.open(visit + 1);
                    tally.close(visit, visit + visit % 3_000, visit / 2);
                }
            });
            let mut seen = 0;
            while seen < VISITS {
                let counts = tally.latencies();
                assert!(counts.service.count() >= seen && counts.response.count() >= seen);
                seen = counts.service.count().min(counts.response.count());
            }
        });
        assert_eq!((tally.latencies().service.count(), tally.latencies().response.count()), (VISITS, VISITS));
    }
}
