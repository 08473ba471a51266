//! Which cell counts a value: HdrHistogram's arithmetic for two significant digits, as constants.
//!
//! Values below 256 ns have a cell each; every doubling beyond adds 128 cells, so a cell is never wider than
//! 1/128 (0.8 %) of the values in it.

/// Decimal digits that are kept of every value.
pub const SIGNIFICANT_DIGITS: u8 = 2;

/// The highest value that is told apart, 1000 s; longer ones count as this one.
pub const HIGHEST_NS: u64 = 1_000_000_000_000;

/// Cells of exact values, one each (the smallest power of two that holds two significant digits).
const EXACT: u64 = 256;
const HALF: u64 = EXACT / 2;
/// Doublings from 256 ns until 1000 s is covered.
const DOUBLINGS: u64 = 32;

/// The number of cells of one histogram.
#[expect(clippy::cast_possible_truncation, reason = "a constant of a few thousand")]
pub const CELLS: usize = (EXACT + DOUBLINGS * HALF) as usize;

/// The cell that counts `value_ns`; values above [`HIGHEST_NS`] share its cell.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "below CELLS for every value")]
pub const fn cell_of(value_ns: u64) -> usize {
    let value = if value_ns > HIGHEST_NS { HIGHEST_NS } else { value_ns };
    let doubling = ((EXACT - 1) | value).ilog2() as u64 - (EXACT.ilog2() as u64 - 1);
    (doubling * HALF + (value >> doubling)) as usize
}

/// The lowest value that `cell` counts.
pub const fn lowest_in_cell(cell: usize) -> u64 {
    let cell = cell as u64;
    if cell < EXACT {
        return cell;
    }
    let doubling = cell / HALF - 1;
    (cell - doubling * HALF) << doubling
}

/// The highest value that `cell` counts.
pub const fn highest_in_cell(cell: usize) -> u64 {
    lowest_in_cell(cell + 1) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    #[test]
    fn a_cell_is_at_most_one_percent_wide() {
        for cell in 0..cell_of(HIGHEST_NS) {
            let (low, high) = (lowest_in_cell(cell), highest_in_cell(cell));
            assert!((high - low) * 100 <= low, "cell {cell}: {low}..={high}");
            assert_eq!((cell_of(low), cell_of(high)), (cell, cell));
        }
    }

    #[test]
    fn the_highest_value_has_a_cell_and_longer_ones_share_it() {
        assert!(cell_of(HIGHEST_NS) < CELLS);
        assert_eq!(cell_of(u64::MAX), cell_of(HIGHEST_NS));
    }

    proptest! {
        #[test]
        fn cells_are_those_of_the_hdr_histogram(value in 1..=HIGHEST_NS) {
            let hdr = Histogram::<u64>::new_with_bounds(1, HIGHEST_NS, SIGNIFICANT_DIGITS).unwrap();
            let cell = cell_of(value);
            prop_assert_eq!(hdr.lowest_equivalent(value), lowest_in_cell(cell));
            prop_assert_eq!(hdr.highest_equivalent(value), highest_in_cell(cell));
        }
    }
}
