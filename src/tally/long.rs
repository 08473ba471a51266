//! Visits that took so long that the writer lost a vCPU, or its vCPU lost a page: their sums, and a ring of records.

use super::{RING_WORDS, Ring};
use std::sync::atomic::{AtomicU64, Ordering};

/// From this length on a visit is long: the lowest threshold of a canary.
pub const LONG_NS: u64 = 100_000;

/// Stands for a page whose history nobody knows.
const UNKNOWN: u64 = u64::MAX;

/// One long visit as the writer saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongVisitRaw {
    /// CLOCK_MONOTONIC.
    pub start_ns: u64,
    /// From start to end.
    pub len_ns: u64,
    /// When its page had been visited before, 0 for the fill; none where pages carry no stamps.
    pub page_visited_ns: Option<u64>,
    /// Visits of this writer that had written by then.
    pub writes: u64,
}

/// Long visits of one writer, cumulative.
#[derive(Debug, Default)]
pub struct LongVisits {
    count: AtomicU64,
    total_ns: AtomicU64,
    ring: Ring,
}

impl LongVisits {
    /// The memory their records take, in bytes.
    pub const BYTES: usize = Ring::BYTES;

    /// Counts a long visit and hands its record to the reader. Only the writer itself calls this.
    #[cold]
    #[inline(never)]
    pub fn record(&self, visit: &LongVisitRaw) {
        super::add(&self.count, 1);
        super::add(&self.total_ns, visit.len_ns);
        let mut words = [0; RING_WORDS];
        words[..4].copy_from_slice(&[
            visit.start_ns,
            visit.len_ns,
            visit.page_visited_ns.unwrap_or(UNKNOWN),
            visit.writes,
        ]);
        self.ring.push(words);
    }

    /// The oldest record not taken yet. Only one thread may take.
    pub fn take(&self) -> Option<LongVisitRaw> {
        let [start_ns, len_ns, visited_ns, writes, ..] = self.ring.pop()?;
        let page_visited_ns = (visited_ns != UNKNOWN).then_some(visited_ns);
        Some(LongVisitRaw { start_ns, len_ns, page_visited_ns, writes })
    }

    /// How many there were, and how long they took together, in ns.
    pub fn sums(&self) -> (u64, u64) {
        (self.count.load(Ordering::Relaxed), self.total_ns.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::RING_RECORDS;

    #[test]
    fn a_long_visit_reaches_the_reader_as_it_was() {
        let long = LongVisits::default();
        for page_visited_ns in [None, Some(0), Some(77)] {
            let visit = LongVisitRaw { start_ns: 5, len_ns: LONG_NS, page_visited_ns, writes: 9 };
            long.record(&visit);
            assert_eq!(long.take(), Some(visit));
        }
        assert_eq!((long.take(), long.sums()), (None, (3, 3 * LONG_NS)));
    }

    #[test]
    fn every_long_visit_counts_even_when_its_record_finds_no_room() {
        let long = LongVisits::default();
        let visit = LongVisitRaw { start_ns: 5, len_ns: 10, page_visited_ns: None, writes: 9 };
        (0..RING_RECORDS + 7).for_each(|_| long.record(&visit));
        assert_eq!(long.sums(), (RING_RECORDS as u64 + 7, 10 * (RING_RECORDS as u64 + 7)));
        assert_eq!(std::iter::from_fn(|| long.take()).count(), RING_RECORDS);
    }
}
