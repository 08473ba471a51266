//! The counts of one canary's gaps, and the ring their records wait in.

use super::{Cells, RING_WORDS, Ring, cells::Sums};
use crate::{
    histogram::Counts,
    record::{GapFeatures, GapSummary},
};
use std::sync::atomic::{AtomicU64, Ordering};

/// A gap as the canary saw it, not yet classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawGap {
    /// CLOCK_MONOTONIC.
    pub start_ns: u64,
    /// How long the vCPU was away.
    pub len_ns: u64,
    /// Counters of the canary's thread over it.
    pub features: GapFeatures,
}

/// Stands for a run delay the kernel does not count.
const ABSENT: u64 = u64::MAX;

impl RawGap {
    fn words(&self) -> [u64; RING_WORDS] {
        let features = &self.features;
        [
            self.start_ns,
            self.len_ns,
            features.run_delay_ns.unwrap_or(ABSENT),
            features.cpu_ns,
            features.minflt,
            features.majflt,
            features.nvcsw,
            features.nivcsw,
        ]
    }

    fn from_words(words: [u64; RING_WORDS]) -> Self {
        let [start_ns, len_ns, run_delay, cpu_ns, minflt, majflt, voluntary, involuntary] = words;
        let features = GapFeatures {
            run_delay_ns: (run_delay != ABSENT).then_some(run_delay),
            cpu_ns,
            minflt,
            majflt,
            nvcsw: voluntary,
            nivcsw: involuntary,
        };
        Self { start_ns, len_ns, features }
    }
}

/// Cumulative counts of one canary, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct GapTally {
    /// Every gap by its length: the longest of any span of time can be had from it, however late one asks.
    lengths: Cells,
    total_ns: AtomicU64,
    threshold_ns: AtomicU64,
    ring: Ring,
}

impl GapTally {
    /// Empty counts.
    pub fn new() -> Self {
        let (total_ns, threshold_ns) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { lengths: Cells::touched(), total_ns, threshold_ns, ring: Ring::new() }
    }

    /// Says from which lateness on a wake counts as a gap. Only the canary itself calls this.
    pub fn set_threshold(&self, threshold_ns: u64) {
        self.threshold_ns.store(threshold_ns, Ordering::Relaxed);
    }

    /// From which lateness on a wake counts as a gap now.
    pub fn threshold(&self) -> u64 {
        self.threshold_ns.load(Ordering::Relaxed)
    }

    /// The length of all gaps.
    pub fn total_ns(&self) -> u64 {
        self.total_ns.load(Ordering::Relaxed)
    }

    /// The memory they take, in bytes.
    pub const fn bytes() -> usize {
        size_of::<Self>() + Cells::BYTES + Ring::BYTES
    }

    /// Counts a gap and hands its record to the reader. Only the canary itself calls this.
    pub fn record(&self, gap: &RawGap) {
        self.lengths.record(gap.len_ns);
        super::add(&self.total_ns, gap.len_ns);
        self.ring.push(gap.words());
    }

    /// The oldest record not taken yet. Only one thread may take.
    pub fn take(&self) -> Option<RawGap> {
        self.ring.pop().map(RawGap::from_words)
    }

    /// The counts now.
    #[cfg(test)]
    pub fn counts(&self) -> GapCounts {
        GapCounts::of(std::iter::once(self), &GapCounts::default())
    }
}

impl Default for GapTally {
    fn default() -> Self {
        Self::new()
    }
}

/// What canaries had counted at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GapCounts {
    lengths: Counts,
    total_ns: u64,
    threshold_ns: u64,
    records_dropped: u64,
}

impl GapCounts {
    /// Of all canaries together. They take about as much memory as `like`, which were taken before.
    pub fn of<'a>(tallies: impl Iterator<Item = &'a GapTally> + Clone, like: &Self) -> Self {
        let tables: Vec<&Cells> = tallies.clone().map(|tally| &tally.lengths).collect();
        let (lengths, _) = Counts::of_cells(&like.lengths, Sums::of(&tables));
        let mut counts = Self { lengths, ..Self::default() };
        for tally in tallies {
            counts.total_ns = counts.total_ns.saturating_add(tally.total_ns());
            counts.threshold_ns = counts.threshold_ns.max(tally.threshold());
            counts.records_dropped = counts.records_dropped.saturating_add(tally.ring.dropped());
        }
        counts
    }

    /// Records that found the ring full; their gaps are counted all the same.
    pub fn records_dropped(&self) -> u64 {
        self.records_dropped
    }

    /// What was counted since `earlier`; the longest gap is at most 0.8 % too long.
    pub fn since(&self, earlier: &Self) -> GapSummary {
        let lengths = self.lengths.since(&earlier.lengths);
        GapSummary {
            count: lengths.count(),
            total_ns: self.total_ns.saturating_sub(earlier.total_ns),
            max_ns: lengths.max().unwrap_or(0),
            threshold_ns: self.threshold_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::RING_RECORDS;
    use proptest::prelude::*;

    fn gap(len_ns: u64) -> RawGap {
        RawGap { len_ns, ..RawGap::default() }
    }

    #[test]
    fn each_span_of_time_has_its_own_longest_gap() {
        let tally = GapTally::new();
        let start = tally.counts();
        tally.record(&gap(5_000_000));
        let middle = tally.counts();
        tally.record(&gap(200_000));
        tally.record(&gap(100_000));
        let end = tally.counts();
        assert_eq!(middle.since(&start).count, 1);
        assert!(end.since(&start).max_ns.abs_diff(5_000_000) <= 50_000);
        let second = end.since(&middle);
        assert_eq!((second.count, second.total_ns), (2, 300_000));
        assert!(second.max_ns.abs_diff(200_000) <= 2_000, "{second:?}");
        assert_eq!(end.since(&end), GapSummary::default());
    }

    #[test]
    fn gaps_count_even_when_their_records_find_no_room() {
        let tally = GapTally::new();
        let gaps = RING_RECORDS as u64 + 7;
        (0..gaps).for_each(|_| tally.record(&gap(1_000)));
        assert_eq!(tally.counts().since(&GapCounts::default()).count, gaps);
        assert_eq!(tally.counts().records_dropped(), 7);
        assert_eq!(std::iter::from_fn(|| tally.take()).count(), RING_RECORDS);
    }

    proptest! {
        #[test]
        fn a_gap_reaches_the_reader_as_it_was(run_delay_ns: Option<u32>, number in 0u64..u64::MAX) {
            let features = GapFeatures {
                run_delay_ns: run_delay_ns.map(u64::from),
                cpu_ns: number,
                minflt: number + 1,
                majflt: number / 2,
                nvcsw: number / 3,
                nivcsw: number / 5,
            };
            let (tally, gap) = (GapTally::new(), RawGap { start_ns: number, len_ns: number / 7, features });
            tally.record(&gap);
            prop_assert_eq!(tally.take(), Some(gap));
        }
    }
}
