//! What only a reader of histograms does with them: adds them up, looks at their cells, unpacks them.

use super::{Counts, Runs};
use crate::histogram::{
    HIGHEST_NS, SIGNIFICANT_DIGITS, lowest_in_cell,
    unpack::{self, HistogramError},
};
use hdrhistogram::Histogram;

impl Counts {
    /// Adds every count of `other` (saturating).
    pub fn add(&mut self, other: &Self) {
        if !other.is_empty() {
            let both_bytes = self.0.bytes().len() + other.0.bytes().len();
            self.0 = Runs::of(both_bytes, merged(self.0.cells(), other.0.cells()));
        }
    }

    /// Whether nothing was counted.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every non-empty cell: the lowest value it counts, and its count.
    pub fn occupied(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.cells().map(|(cell, count)| (lowest_in_cell(cell), count))
    }

    /// The same histogram in the field's own type.
    pub fn to_hdr(&self) -> Histogram<u64> {
        let mut hdr = empty_hdr();
        for (value, count) in self.occupied() {
            hdr.saturating_record_n(value, count);
        }
        hdr
    }

    /// Reads what [`Self::pack`] or another HdrHistogram implementation wrote.
    ///
    /// # Errors
    /// When the text is too long, not base64, or not an HdrHistogram V2 that holds what it says.
    pub fn unpack(text: &str) -> Result<Self, HistogramError> {
        unpack::unpack(text).map(Self)
    }
}

/// What both count, cell by cell.
fn merged(
    mine: impl Iterator<Item = (usize, u64)>,
    theirs: impl Iterator<Item = (usize, u64)>,
) -> impl Iterator<Item = (usize, u64)> {
    let (mut mine, mut theirs) = (mine.peekable(), theirs.peekable());
    std::iter::from_fn(move || {
        let cell = mine.peek().into_iter().chain(theirs.peek()).map(|(cell, _)| *cell).min()?;
        let own = mine.next_if(|(its, _)| *its == cell).map_or(0, |(_, count)| count);
        let other = theirs.next_if(|(its, _)| *its == cell).map_or(0, |(_, count)| count);
        Some((cell, own.saturating_add(other)))
    })
}

fn empty_hdr() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, SIGNIFICANT_DIGITS).expect("constant bounds are valid")
}
