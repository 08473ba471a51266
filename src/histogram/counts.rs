//! Counts taken from the cells at one moment: added, subtracted, asked for quantiles, packed for the wire.

#[cfg(any(test, feature = "host"))]
mod reading;

use super::{cell_of, highest_in_cell, pack, runs::Runs};

/// One histogram: how many values fell into each cell. A count beyond 2^63 - 1, the highest of the packed form, becomes that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts(Runs);

impl Counts {
    /// Counts of the cells that are given, in ascending order and below [`CELLS`](super::CELLS), and how many that are in
    /// all. They take about as much memory as `like`, which was taken of the same cells before.
    pub fn of_cells(like: &Self, cells: impl Iterator<Item = (usize, u64)>) -> (Self, u64) {
        let mut total = 0u64;
        let counts = cells.inspect(|(_, count)| total = total.saturating_add(*count));
        let runs = Runs::of(like.0.bytes().len(), counts);
        (Self(runs), total)
    }

    /// Counts `count` more values of `value_ns` (saturating).
    pub fn record_n(&mut self, value_ns: u64, count: u64) {
        self.0.record(cell_of(value_ns), count);
    }

    /// What was counted since `earlier`, an older state of the same cells.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(self.0.since(&earlier.0))
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.0.cells().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// The value at or below which the share `quantile` (0 to 1) of all values lies, in ns, at most 0.8 % too
    /// high; none when nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        self.quantiles(self.count(), [quantile])[0]
    }

    /// What [`Self::quantile`] gives for each of `quantiles`, which ascend, found in one pass; `total` is [`Self::count`].
    pub fn quantiles<const N: usize>(&self, total: u64, quantiles: [f64; N]) -> [Option<u64>; N] {
        let mut found = [None; N];
        let ranks = quantiles.map(|quantile| rank(quantile, total));
        let (mut seen, mut next) = (0u64, 0);
        for (cell, count) in self.0.cells() {
            seen = seen.saturating_add(count);
            while let Some(value) = found.get_mut(next).filter(|_| seen >= ranks[next]) {
                *value = Some(highest_in_cell(cell));
                next += 1;
            }
        }
        found
    }

    /// The highest value counted, in ns, at most 0.8 % too high; none when nothing was counted.
    pub fn max(&self) -> Option<u64> {
        self.0.cells().last().map(|(cell, _)| highest_in_cell(cell))
    }

    /// Packed for the wire: HdrHistogram V2 in a zlib stream, base64 (starts `HISTFA`).
    pub fn pack(&self) -> String {
        pack::pack(&self.0)
    }
}

/// How many of `total` values lie at or below the share `quantile` of them; at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= rank <= total")]
fn rank(quantile: f64, total: u64) -> u64 {
    ((quantile.clamp(0.0, 1.0) * total as f64).ceil() as u64).min(total).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{HIGHEST_NS, lowest_in_cell};
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
