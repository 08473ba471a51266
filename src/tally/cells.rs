//! The cells of one histogram: one thread counts, any thread reads.

// A count is kept in two words, so that the pages dirtied by counting are half as many: the lower 31 bits with one bit above
// them, which tells their laps apart, and the number of laps, which hardly ever changes.
// Laws: 1. the lap is noted after the count that began it, at the latest with the next count of the same cell;
//       2. so a lap noted is never ahead of the bit, and behind it by at most one: whoever reads the lap first and the bit
//          then has the exact count of some moment in between, without waiting;
//       3. a reader is not held up for a whole lap between the two, 2^31 counts of one cell.

use crate::histogram::{CELLS, cell_of};
use std::sync::atomic::{AtomicU32, Ordering};

/// Cumulative cells of one histogram.
#[derive(Debug)]
pub struct Cells {
    counts: Box<[AtomicU32]>,
    /// Laps of the lower bits that are noted, of each cell.
    laps: Box<[AtomicU32]>,
    /// A bit for each cell, set once it counts anything: most never do, and a reader passes them by.
    used: Box<[AtomicU32]>,
}

/// How many words have a bit for each cell.
const USED_WORDS: usize = CELLS.div_ceil(WORD_BITS);
const WORD_BITS: usize = u32::BITS as usize;
/// The bits of a count that make a lap.
const LAP_BITS: u32 = 31;
const IN_LAP: u32 = (1 << LAP_BITS) - 1;

impl Cells {
    /// The memory they take, in bytes.
    pub const BYTES: usize = (2 * CELLS + USED_WORDS) * size_of::<AtomicU32>();

    /// Empty cells, every page of them already touched.
    pub fn touched() -> Self {
        Self { counts: zeros(CELLS), laps: zeros(CELLS), used: zeros(USED_WORDS) }
    }

    /// Counts one value. Only one thread may do so.
    #[inline(always)]
    pub fn record(&self, value_ns: u64) {
        let cell = cell_of(value_ns);
        let count = self.counts[cell].load(Ordering::Relaxed);
        if count & IN_LAP == 0 {
            self.begin_lap(cell);
        }
        self.counts[cell].store(count.wrapping_add(1), Ordering::Release);
    }

    /// Whether anything has been counted.
    pub fn is_used(&self) -> bool {
        self.used.iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// The first lap of a cell shows as its use, each later one is noted.
    #[cold]
    fn begin_lap(&self, cell: usize) {
        let (word, bit) = (&self.used[cell / WORD_BITS], 1 << (cell % WORD_BITS));
        let used = word.load(Ordering::Relaxed);
        if used & bit == 0 {
            word.store(used | bit, Ordering::Relaxed);
        } else {
            self.laps[cell].fetch_add(1, Ordering::Release);
        }
    }

    /// How many values `cell` counted.
    #[inline(always)]
    fn count(&self, cell: usize) -> u64 {
        let noted = self.laps[cell].load(Ordering::Acquire);
        let count = self.counts[cell].load(Ordering::Acquire);
        let behind = (count >> LAP_BITS) ^ (noted & 1);
        (u64::from(noted) + u64::from(behind)) << LAP_BITS | u64::from(count & IN_LAP)
    }
}

/// Memory that is zero from the start may be the kernel's shared zero page until the first store.
fn zeros(words: usize) -> Box<[AtomicU32]> {
    let touched: Box<[AtomicU32]> = (0..words).map(|_| AtomicU32::new(1)).collect();
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
    bits: u32,
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
            sum = sum.saturating_add(table.count(cell));
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

        #[test]
        fn a_count_goes_on_from_lap_to_lap_whenever_it_is_read(
            laps in 0u32..5,
            before in 1u32..4,
            more in 1u32..8,
        ) {
            // As after so many counts of one value: all laps noted but the one that just began.
            let (cells, cell) = (Cells::touched(), cell_of(700));
            let start = ((u64::from(laps) + 1) << LAP_BITS) - u64::from(before);
            cells.record(700);
            cells.counts[cell].store(u32::try_from(start & u64::from(u32::MAX)).unwrap(), Ordering::Relaxed);
            cells.laps[cell].store(laps, Ordering::Relaxed);
            for counted in 0..=more {
                let found: Vec<_> = Sums::of(&[&cells]).collect();
                prop_assert_eq!(found, [(cell, start + u64::from(counted))]);
                cells.record(700);
            }
        }
    }
    #[test]
    fn a_reader_beside_the_writer_never_sees_a_lap_too_few_or_too_many() {
        const LAPS: u64 = 5_000;
        let (cells, cell) = (Cells::touched(), cell_of(700));
        cells.record(700);
        let (reads, mut wrong) = (AtomicU32::new(0), None);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..LAPS {
                    // Between two counts the lower bits jump to the end of the lap; no reading sees that twice.
                    let seen = reads.load(Ordering::Relaxed);
                    while reads.load(Ordering::Relaxed).wrapping_sub(seen) < 2 {
                        std::hint::spin_loop();
                    }
                    cells.counts[cell].fetch_or(IN_LAP, Ordering::Release);
                    cells.record(700);
                    cells.record(700);
                }
            });
            let mut last = 0;
            while !writer.is_finished() {
                let count = cells.count(cell);
                if count < last || count - last > 2 << LAP_BITS {
                    wrong.get_or_insert((last, count));
                }
                last = count;
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert_eq!(wrong, None, "a count, and one read after it");
        assert_eq!(cells.count(cell), LAPS << LAP_BITS | 1);
    }
}
