//! The cells of one histogram: one thread counts, any thread reads.

use crate::histogram::{CELLS, cell_of};
use std::sync::atomic::{AtomicU64, Ordering};

/// Cumulative cells of one histogram.
#[derive(Debug)]
pub struct Cells {
    counts: Box<[AtomicU64]>,
    /// A bit for each cell, set once it counts anything: most never do, and a reader passes them by.
    used: Box<[AtomicU64]>,
}

/// How many words have a bit for each cell.
const USED_WORDS: usize = CELLS.div_ceil(WORD_BITS);
const WORD_BITS: usize = u64::BITS as usize;

impl Cells {
    /// The memory they take, in bytes.
    pub const BYTES: usize = (CELLS + USED_WORDS) * size_of::<AtomicU64>();

    /// Empty cells, every page of them already touched.
    pub fn touched() -> Self {
        Self { counts: zeros(CELLS), used: zeros(USED_WORDS) }
    }

    /// Counts one value. Only one thread may do so.
    #[inline(always)]
    pub fn record(&self, value_ns: u64) {
        let cell = cell_of(value_ns);
        let count = self.counts[cell].load(Ordering::Relaxed);
        if count == 0 {
            self.use_first(cell);
        }
        self.counts[cell].store(count.saturating_add(1), Ordering::Relaxed);
    }

    /// Whether anything has been counted.
    pub fn is_used(&self) -> bool {
        self.used.iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    #[cold]
    fn use_first(&self, cell: usize) {
        let word = &self.used[cell / WORD_BITS];
        word.store(word.load(Ordering::Relaxed) | 1 << (cell % WORD_BITS), Ordering::Relaxed);
    }
}

/// Memory that is zero from the start may be the kernel's shared zero page until the first store.
fn zeros(words: usize) -> Box<[AtomicU64]> {
    let touched: Box<[AtomicU64]> = (0..words).map(|_| AtomicU64::new(1)).collect();
    touched.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    touched
}

/// What several tables have counted so far, summed cell by cell, in the order of the cells; those that are empty in all of
/// them are left out.
pub struct Sums<'a> {
    tables: &'a [&'a Cells],
    /// The next word of bits.
    next: usize,
    /// What is left of the one before it.
    bits: u64,
}

impl<'a> Sums<'a> {
    /// Of `tables`.
    pub fn of(tables: &'a [&'a Cells]) -> Self {
        Self { tables, next: 0, bits: 0 }
    }
}

impl Iterator for Sums<'_> {
    type Item = (usize, u64);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        while self.bits == 0 {
            if self.next == USED_WORDS {
                return None;
            }
            for table in self.tables {
                self.bits |= table.used[self.next].load(Ordering::Relaxed);
            }
            self.next += 1;
        }
        let cell = (self.next - 1) * WORD_BITS + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        let mut sum = 0u64;
        for table in self.tables {
            sum = sum.saturating_add(table.counts[cell].load(Ordering::Relaxed));
        }
        Some((cell, sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Counts;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tables_are_summed_cell_by_cell_as_counts_are(
            tables in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..200), 0..4)
        ) {
            let mut counts = Counts::default();
            let tables: Vec<Cells> = tables
                .into_iter()
                .map(|values| {
                    let cells = Cells::touched();
                    for value in values {
                        cells.record(value);
                        counts.record_n(value, 1);
                    }
                    cells
                })
                .collect();
            let tables: Vec<&Cells> = tables.iter().collect();
            let found = Counts::of_cells(&Counts::default(), Sums::of(&tables));
            prop_assert_eq!(found, (counts.clone(), counts.count()));
        }
    }
}
