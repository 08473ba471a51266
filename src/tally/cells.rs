//! The cells of one histogram: one thread counts, any thread reads.

use crate::histogram::{CELLS, Counts, cell_of};
use std::sync::atomic::{AtomicU64, Ordering};

/// Cumulative cells of one histogram.
#[derive(Debug)]
pub struct Cells(Box<[AtomicU64]>);

impl Cells {
    /// The memory they take, in bytes.
    pub const BYTES: usize = CELLS * size_of::<AtomicU64>();

    /// Empty cells, every page of them already touched.
    pub fn touched() -> Self {
        let cells: Box<[AtomicU64]> = (0..CELLS).map(|_| AtomicU64::new(1)).collect();
        // Memory that is zero from the start may be the kernel's shared zero page until the first store.
        cells.iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
        Self(cells)
    }

    /// Counts one value. Only one thread may do so.
    #[inline(always)]
    pub fn record(&self, value_ns: u64) {
        super::add(&self.0[cell_of(value_ns)], 1);
    }

    /// What has been counted so far in `cell`, which is below [`CELLS`].
    pub fn at(&self, cell: usize) -> u64 {
        self.0[cell].load(Ordering::Relaxed)
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        Counts::from_cells(|| self.0.iter().map(|cell| cell.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cells_count_as_counts_do(values in prop::collection::vec(any::<u64>(), 0..200)) {
            let cells = Cells::touched();
            let mut counts = Counts::default();
            for value in values {
                cells.record(value);
                counts.record_n(value, 1);
            }
            prop_assert_eq!(cells.counts(), counts);
        }
    }
}
