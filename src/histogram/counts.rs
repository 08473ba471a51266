//! Counts taken from the cells at one moment: added, subtracted, asked for quantiles, packed for the wire.

use super::{CELLS, HIGHEST_NS, SIGNIFICANT_DIGITS, cell_of, highest_in_cell, lowest_in_cell, pack};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hdrhistogram::{Histogram, serialization::Deserializer};

/// One histogram: how many values fell into each cell. Only cells that are not empty take room, of which a few hundred are:
/// a reader that takes counts ten times a second dirties little memory for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// By cell, which is below [`CELLS`]; no count is 0.
    cells: Vec<(usize, u64)>,
}

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

    /// Counts read from cells one by one; beyond [`CELLS`] they are left out.
    pub fn from_cells(cells: impl IntoIterator<Item = u64>) -> Self {
        Self { cells: cells.into_iter().take(CELLS).enumerate().filter(|(_, count)| *count > 0).collect() }
    }

    /// Counts `count` more values of `value_ns` (saturating).
    pub fn record_n(&mut self, value_ns: u64, count: u64) {
        let cell = cell_of(value_ns);
        match self.cells.binary_search_by_key(&cell, |(cell, _)| *cell) {
            Ok(place) => self.cells[place].1 = self.cells[place].1.saturating_add(count),
            Err(_) if count == 0 => {}
            Err(place) => self.cells.insert(place, (cell, count)),
        }
    }

    /// Adds every count of `other` (saturating).
    pub fn add(&mut self, other: &Self) {
        let mut more = other.cells.iter().copied().peekable();
        let mut sum = Vec::with_capacity(self.cells.len().max(other.cells.len()));
        for (cell, count) in self.cells.drain(..) {
            while let Some(before) = more.next_if(|(theirs, _)| *theirs < cell) {
                sum.push(before);
            }
            let same = more.next_if(|(theirs, _)| *theirs == cell).map_or(0, |(_, count)| count);
            sum.push((cell, count.saturating_add(same)));
        }
        sum.extend(more);
        self.cells = sum;
    }

    /// What was counted since `earlier`, an older state of the same cells.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut then = earlier.cells.iter().copied().peekable();
        let since = |(cell, count): &(usize, u64)| {
            while then.next_if(|(theirs, _)| theirs < cell).is_some() {}
            let before = then.next_if(|(theirs, _)| theirs == cell).map_or(0, |(_, count)| count);
            Some((*cell, count.saturating_sub(before))).filter(|(_, count)| *count > 0)
        };
        Self { cells: self.cells.iter().filter_map(since).collect() }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.cells.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Whether nothing was counted.
    pub const fn is_empty(&self) -> bool {
        self.cells.is_empty()
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
        let found = self.cells.iter().find(|(_, count)| {
            seen = seen.saturating_add(*count);
            seen >= rank
        });
        found.map(|(cell, _)| highest_in_cell(*cell))
    }

    /// The highest value counted, in ns, at most 0.8 % too high; none when nothing was counted.
    pub fn max(&self) -> Option<u64> {
        self.cells.last().map(|(cell, _)| highest_in_cell(*cell))
    }

    /// Every non-empty cell: the lowest value it counts, and its count.
    pub fn occupied(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.cells.iter().map(|(cell, count)| (lowest_in_cell(*cell), *count))
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
        let mut counts = Self::default();
        for value in hdr.iter_recorded() {
            counts.record_n(value.value_iterated_to(), value.count_at_value());
        }
        counts
    }

    /// Packed for the wire: HdrHistogram V2 in a zlib stream, base64 (starts `HISTFA`).
    pub fn pack(&self) -> String {
        BASE64.encode(pack::pack(&self.cells))
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
