//! A bounded ring of gap records from one canary to one reader: no lock, no waiting; what finds no room is counted.

use crate::record::GapFeatures;
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

const WORDS: usize = 8;
/// Stands for a run delay the kernel does not count.
const ABSENT: u64 = u64::MAX;

impl RawGap {
    fn words(&self) -> [u64; WORDS] {
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

    fn from_words(words: [u64; WORDS]) -> Self {
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

/// The ring. One thread pushes, one thread pops.
#[derive(Debug)]
pub struct Ring {
    slots: Box<[[AtomicU64; WORDS]]>,
    /// Records pushed so far; stored by the canary.
    pushed: AtomicU64,
    /// Records popped so far; stored by the reader.
    popped: AtomicU64,
    /// Records that found no room; stored by the canary.
    dropped: AtomicU64,
}

impl Ring {
    /// The records it holds.
    pub const CAPACITY: usize = 1024;
    /// The memory they take, in bytes.
    pub const BYTES: usize = Self::CAPACITY * WORDS * size_of::<AtomicU64>();

    /// An empty ring, every page of it already touched.
    pub fn new() -> Self {
        let slots: Box<[[AtomicU64; WORDS]]> =
            (0..Self::CAPACITY).map(|_| std::array::from_fn(|_| AtomicU64::new(ABSENT))).collect();
        Self { slots, pushed: AtomicU64::new(0), popped: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    /// Adds a record, or counts it as dropped when the ring is full.
    pub fn push(&self, gap: &RawGap) {
        let pushed = self.pushed.load(Ordering::Relaxed);
        // Acquire: the reader is done with the slot before it is written again.
        if pushed - self.popped.load(Ordering::Acquire) >= Self::CAPACITY as u64 {
            super::add(&self.dropped, 1);
            return;
        }
        for (cell, word) in self.slot(pushed).iter().zip(gap.words()) {
            cell.store(word, Ordering::Relaxed);
        }
        // Release: whoever sees the count sees the words.
        self.pushed.store(pushed + 1, Ordering::Release);
    }

    /// Takes the oldest record.
    pub fn pop(&self) -> Option<RawGap> {
        let popped = self.popped.load(Ordering::Relaxed);
        if popped == self.pushed.load(Ordering::Acquire) {
            return None;
        }
        let words = self.slot(popped).each_ref().map(|cell| cell.load(Ordering::Relaxed));
        self.popped.store(popped + 1, Ordering::Release);
        Some(RawGap::from_words(words))
    }

    /// Records that found no room so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the remainder of a small constant")]
    fn slot(&self, number: u64) -> &[AtomicU64; WORDS] {
        &self.slots[(number % Self::CAPACITY as u64) as usize]
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A record whose every word says its number, so that a torn one shows.
    fn numbered(number: u64) -> RawGap {
        let features = GapFeatures {
            run_delay_ns: (!number.is_multiple_of(3)).then_some(number),
            cpu_ns: number,
            minflt: number,
            majflt: number,
            nvcsw: number,
            nivcsw: number,
        };
        RawGap { start_ns: number, len_ns: number, features }
    }

    #[test]
    fn records_cross_threads_whole_in_order_and_accounted_for() {
        const RECORDS: u64 = 100_000;
        let ring = Ring::new();
        let taken = std::thread::scope(|scope| {
            let pushing = scope.spawn(|| (0..RECORDS).for_each(|number| ring.push(&numbered(number))));
            let (mut taken, mut last) = (0, None);
            loop {
                let ended = pushing.is_finished();
                while let Some(gap) = ring.pop() {
                    assert_eq!(gap, numbered(gap.start_ns));
                    assert!(last < Some(gap.start_ns));
                    (taken, last) = (taken + 1, Some(gap.start_ns));
                }
                if ended {
                    return taken;
                }
            }
        });
        assert_eq!(taken + ring.dropped(), RECORDS);
    }

    proptest! {
        #[test]
        fn it_is_a_bounded_queue(pushes in prop::collection::vec(0usize..700, 1..8)) {
            let ring = Ring::new();
            let (mut truth, mut number, mut dropped) = (std::collections::VecDeque::new(), 0, 0);
            for count in pushes {
                for _ in 0..count {
                    ring.push(&numbered(number));
                    if truth.len() < Ring::CAPACITY { truth.push_back(number) } else { dropped += 1 }
                    number += 1;
                }
                for _ in 0..count / 2 {
                    prop_assert_eq!(ring.pop(), truth.pop_front().map(numbered));
                }
            }
            prop_assert_eq!(ring.dropped(), dropped);
        }
    }
}
