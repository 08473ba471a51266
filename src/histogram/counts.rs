//! Counts taken from the cells at one moment: added, subtracted, asked for quantiles, packed for the wire.

use super::{
    CELLS, HIGHEST_NS, SIGNIFICANT_DIGITS, cell_of, highest_in_cell, lowest_in_cell, pack,
    runs::{Runs, room},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hdrhistogram::{Histogram, serialization::Deserializer};

/// One histogram: how many values fell into each cell. A count beyond 2^63 - 1, the highest of the packed form, becomes that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts(Runs);

/// A packed histogram that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistogramError {
    /// Not base64 at all.
    #[error("a packed histogram is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// Base64 of something that is no HdrHistogram, or of one too large to be ours.
    #[error("a packed histogram is not an HdrHistogram V2: {0}")]
    Format(String),
}

impl Counts {
    /// The longest packed text that is read, in bytes; a full histogram of ours takes less.
    pub const PACKED_LIMIT_BYTES: usize = 64 * 1024;

    /// Counts read from cells one by one; beyond [`CELLS`] they are left out. The cells are asked twice.
    pub fn from_cells<C: Iterator<Item = u64>>(cells: impl Fn() -> C) -> Self {
        let mut counts = Self::default();
        counts.refill(cells);
        counts
    }

    /// What [`Self::from_cells`] gives, in the place of what this was.
    pub fn refill<C: Iterator<Item = u64>>(&mut self, cells: impl Fn() -> C) {
        self.0.refill(|| cells().take(CELLS).enumerate());
    }

    /// Counts `count` more values of `value_ns` (saturating).
    pub fn record_n(&mut self, value_ns: u64, count: u64) {
        self.0.record(cell_of(value_ns), count);
    }

    /// Adds every count of `other` (saturating).
    pub fn add(&mut self, other: &Self) {
        if !other.is_empty() {
            self.0 = Runs::of(|| merged(self.0.cells(), other.0.cells()));
        }
    }

    /// What was counted since `earlier`, an older state of the same cells.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(Runs::of(|| {
            let mut then = earlier.0.cells().peekable();
            self.0.cells().map(move |(cell, count)| {
                while then.next_if(|(before, _)| *before < cell).is_some() {}
                let before = then.next_if(|(before, _)| *before == cell).map_or(0, |(_, count)| count);
                (cell, count.saturating_sub(before))
            })
        }))
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.0.cells().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Whether nothing was counted.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value at or below which the share `quantile` (0 to 1) of all values lies, in ns, at most 0.8 % too
    /// high; none when nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= rank <= total")]
        let rank = ((quantile.clamp(0.0, 1.0) * total as f64).ceil() as u64).clamp(1, total);
        let mut seen = 0u64;
        let found = self.0.cells().find(|(_, count)| {
            seen = seen.saturating_add(*count);
            seen >= rank
        });
        found.map(|(cell, _)| highest_in_cell(cell))
    }

    /// The highest value counted, in ns, at most 0.8 % too high; none when nothing was counted.
    pub fn max(&self) -> Option<u64> {
        self.0.cells().last().map(|(cell, _)| highest_in_cell(cell))
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

    /// From the field's own type; values outside our range count at its edge.
    pub fn from_hdr(hdr: &Histogram<u64>) -> Self {
        let cells = || {
            let mut values = hdr
                .iter_recorded()
                .map(|value| (cell_of(value.value_iterated_to()), value.count_at_value()))
                .peekable();
            std::iter::from_fn(move || {
                let (cell, mut sum) = values.next()?;
                while let Some((_, count)) = values.next_if(|(same, _)| *same == cell) {
                    sum = sum.saturating_add(count);
                }
                Some((cell, sum))
            })
        };
        Self(Runs::of(cells))
    }

    /// Packed for the wire: HdrHistogram V2 in a zlib stream, base64 (starts `HISTFA`).
    pub fn pack(&self) -> String {
        let packed = pack::pack(&self.0);
        let mut text = String::with_capacity(room(packed.len().div_ceil(3) * 4));
        BASE64.encode_string(packed, &mut text);
        text
    }

    /// Reads what [`Self::pack`] or another HdrHistogram implementation wrote.
    ///
    /// # Errors
    /// When the text is too long, not base64, or not an HdrHistogram V2.
    pub fn unpack(text: &str) -> Result<Self, HistogramError> {
        if text.len() > Self::PACKED_LIMIT_BYTES {
            return Err(HistogramError::Format(format!("{} bytes are too long", text.len())));
        }
        let bytes = BASE64.decode(text)?;
        let hdr: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| HistogramError::Format(format!("{error:?}")))?;
        Ok(Self::from_hdr(&hdr))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(values: &[u64]) -> Counts {
        let mut counts = Counts::default();
        for value in values {
            counts.record_n(*value, 1);
        }
        counts
    }

    #[test]
    fn an_empty_histogram_has_no_quantiles() {
        assert_eq!((Counts::default().quantile(0.5), Counts::default().max()), (None, None));
    }

    #[test]
    fn a_packed_histogram_begins_as_the_field_expects() {
        assert!(counted(&[1, 1000]).pack().starts_with("HISTFA"));
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        assert!(Counts::unpack("?").is_err());
        assert!(Counts::unpack("HISTFA").is_err());
        assert!(Counts::unpack(&"A".repeat(1 << 20)).is_err());
    }

    /// Found by the fuzzer: two cells of another's histogram, both above our highest, came to more than a packed one holds.
    #[test]
    fn what_saturates_stays_as_it_is_when_it_is_packed() {
        let mut counts = Counts::default();
        counts.record_n(HIGHEST_NS, u64::MAX / 2);
        counts.record_n(u64::MAX, u64::MAX / 2);
        counts.add(&counts.clone());
        assert_eq!(
            counts.occupied().collect::<Vec<_>>(),
            [(lowest_in_cell(cell_of(HIGHEST_NS)), i64::MAX as u64)]
        );
        assert_eq!(Counts::unpack(&counts.pack()).unwrap(), counts);
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_the_sorted_values(
            mut values in prop::collection::vec(1..=HIGHEST_NS, 1..200), quantile in 0.0f64..=1.0
        ) {
            let found = counted(&values).quantile(quantile).unwrap();
            values.sort_unstable();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 200")]
            let rank = ((quantile * values.len() as f64).ceil() as usize).max(1);
            let truth = values[rank - 1];
            prop_assert!(found >= truth && (found - truth) * 100 <= truth, "{} for {}", found, truth);
        }

        #[test]
        fn packing_loses_nothing(values in prop::collection::vec(1..=HIGHEST_NS, 0..100)) {
            let counts = counted(&values);
            prop_assert_eq!(Counts::unpack(&counts.pack()).unwrap(), counts);
        }

        #[test]
        fn what_was_counted_since_adds_up(
            first in prop::collection::vec(any::<u64>(), 0..50), more in prop::collection::vec(any::<u64>(), 0..50)
        ) {
            let earlier = counted(&first);
            let mut later = earlier.clone();
            later.add(&counted(&more));
            prop_assert_eq!(later.since(&earlier), counted(&more));
            prop_assert_eq!(later, counted(&[first, more].concat()));
        }

        #[test]
        fn no_text_panics(text in "HISTFA[A-Za-z0-9+/]{0,200}={0,2}") {
            let _ = Counts::unpack(&text);
        }
    }
}
