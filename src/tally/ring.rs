//! A bounded ring of records from one thread to one reader: no lock, no waiting; what finds no room is counted.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

/// The records a ring holds. Under loom, which tries every order of the loads and stores, as few as show one that is full.
pub const RING_RECORDS: usize = if cfg!(loom) { 2 } else { 1024 };

/// The words of a record.
pub const RING_WORDS: usize = if cfg!(loom) { 2 } else { 8 };

/// A ring of records. One thread pushes, one thread pops.
#[derive(Debug)]
pub struct Ring {
    slots: Box<[[AtomicU64; RING_WORDS]]>,
    /// Records pushed so far; stored by the one that pushes.
    pushed: AtomicU64,
    /// Records popped so far; stored by the reader.
    popped: AtomicU64,
    /// Records that found no room; stored by the one that pushes.
    dropped: AtomicU64,
}

impl Ring {
    /// The memory they take, in bytes.
    pub const BYTES: usize = RING_RECORDS * RING_WORDS * size_of::<AtomicU64>();

    /// An empty ring, every page of it already touched.
    pub fn new() -> Self {
        let slots: Box<[[AtomicU64; RING_WORDS]]> =
            (0..RING_RECORDS).map(|_| std::array::from_fn(|_| AtomicU64::new(u64::MAX))).collect();
        Self { slots, pushed: AtomicU64::new(0), popped: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    /// Adds a record, or counts it as dropped when the ring is full.
    pub fn push(&self, words: [u64; RING_WORDS]) {
        let pushed = self.pushed.load(Ordering::Relaxed);
        // Acquire: the reader is done with the slot before it is written again.
        if pushed - self.popped.load(Ordering::Acquire) >= RING_RECORDS as u64 {
            super::add(&self.dropped, 1);
            return;
        }
        for (cell, word) in self.slot(pushed).iter().zip(words) {
            cell.store(word, Ordering::Relaxed);
        }
        // Release: whoever sees the count sees the words.
        self.pushed.store(pushed + 1, Ordering::Release);
    }

    /// Takes the oldest record.
    pub fn pop(&self) -> Option<[u64; RING_WORDS]> {
        let popped = self.popped.load(Ordering::Relaxed);
        if popped == self.pushed.load(Ordering::Acquire) {
            return None;
        }
        let words = self.slot(popped).each_ref().map(|cell| cell.load(Ordering::Relaxed));
        self.popped.store(popped + 1, Ordering::Release);
        Some(words)
    }

    /// Records that found no room so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the remainder of a small constant")]
    fn slot(&self, number: u64) -> &[AtomicU64; RING_WORDS] {
        &self.slots[(number % RING_RECORDS as u64) as usize]
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_cross_threads_whole_in_order_and_accounted_for() {
        const RECORDS: u64 = 100_000;
        let ring = Ring::new();
        let taken = std::thread::scope(|scope| {
            // A record's every word says its number, so that a torn one shows.
            let pushing = scope.spawn(|| (0..RECORDS).for_each(|number| ring.push([number; RING_WORDS])));
            let (mut taken, mut last) = (0, None);
            loop {
                let ended = pushing.is_finished();
                while let Some(words) = ring.pop() {
                    assert_eq!(words, [words[0]; RING_WORDS]);
                    assert!(last < Some(words[0]));
                    (taken, last) = (taken + 1, Some(words[0]));
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
                    ring.push([number; RING_WORDS]);
                    if truth.len() < RING_RECORDS { truth.push_back([number; RING_WORDS]) } else { dropped += 1 }
                    number += 1;
                }
                for _ in 0..count / 2 {
                    prop_assert_eq!(ring.pop(), truth.pop_front());
                }
            }
            prop_assert_eq!(ring.dropped(), dropped);
        }
    }
}
