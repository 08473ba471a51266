//! Counts taken from the cells at one moment: added, subtracted, asked for quantiles, packed for the wire.

use super::{
    CELLS, HIGHEST_NS, SIGNIFICANT_DIGITS, cell_of, highest_in_cell, lowest_in_cell,
    pack::{self, HIGHEST_COUNT},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hdrhistogram::{Histogram, serialization::Deserializer};

/// One histogram: how many values fell into each cell. Only cells that are not empty take room, of which a few hundred are:
/// a reader that takes counts ten times a second dirties little memory for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// By cell; no count is 0.
    used: Vec<Used>,
}

/// A cell that is not empty. In ten bytes: these lists are most of what a reader dirties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(2))]
struct Used {
    /// Below [`CELLS`].
    cell: u16,
    count: u64,
}

const _: () = assert!(CELLS <= 1 << 16);

impl Used {
    /// As much as a packed histogram holds, so that packing changes nothing.
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    const fn new(cell: usize, count: u64) -> Self {
        Self { cell: cell as u16, count: if count < HIGHEST_COUNT { count } else { HIGHEST_COUNT } }
    }

    const fn cell(self) -> usize {
        self.cell as usize
    }

    const fn more(self, count: u64) -> Self {
        Self::new(self.cell(), self.count.saturating_add(count))
    }
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
    pub fn from_cells<C: Iterator<Item = u64>>(cells: impl Fn() -> C) -> Self {
        let mut counts = Self::default();
        counts.refill(cells);
        counts
    }

    /// What [`Self::from_cells`] gives, in the place of what this was. The cells are asked twice, so that no more memory is
    /// touched than the counts take.
    pub fn refill<C: Iterator<Item = u64>>(&mut self, cells: impl Fn() -> C) {
        let occupied = || cells().take(CELLS).enumerate().filter(|(_, count)| *count > 0);
        self.used.clear();
        self.used.reserve_exact(occupied().count());
        self.used.extend(occupied().map(|(cell, count)| Used::new(cell, count)));
    }

    /// Counts `count` more values of `value_ns` (saturating).
    pub fn record_n(&mut self, value_ns: u64, count: u64) {
        let cell = cell_of(value_ns);
        match self.used.binary_search_by_key(&cell, |used| used.cell()) {
            Ok(place) => self.used[place] = self.used[place].more(count),
            Err(_) if count == 0 => {}
            Err(place) => self.used.insert(place, Used::new(cell, count)),
        }
    }

    /// Adds every count of `other` (saturating), in place where it has no cell that this has not.
    pub fn add(&mut self, other: &Self) {
        let (mut place, mut lacking) = (0, 0);
        for theirs in &other.used {
            place += self.used[place..].iter().take_while(|mine| mine.cell() < theirs.cell()).count();
            match self.used.get_mut(place).filter(|mine| mine.cell() == theirs.cell()) {
                Some(mine) => *mine = mine.more(theirs.count),
                None => lacking += 1,
            }
        }
        if lacking > 0 {
            self.used = merged(&self.used, &other.used, self.used.len() + lacking);
        }
    }

    /// What was counted since `earlier`, an older state of the same cells.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let grown = || {
            let mut then = earlier.used.iter().peekable();
            self.used.iter().filter_map(move |now| {
                while then.next_if(|then| then.cell() < now.cell()).is_some() {}
                let before = then.next_if(|then| then.cell() == now.cell()).map_or(0, |then| then.count);
                let count = { now.count }.saturating_sub(before);
                (count > 0).then(|| Used::new(now.cell(), count))
            })
        };
        let mut used = Vec::with_capacity(grown().count());
        used.extend(grown());
        Self { used }
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.used.iter().fold(0, |sum, used| sum.saturating_add(used.count))
    }

    /// Whether nothing was counted.
    pub const fn is_empty(&self) -> bool {
        self.used.is_empty()
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
        let found = self.used.iter().find(|used| {
            seen = seen.saturating_add(used.count);
            seen >= rank
        });
        found.map(|used| highest_in_cell(used.cell()))
    }

    /// The highest value counted, in ns, at most 0.8 % too high; none when nothing was counted.
    pub fn max(&self) -> Option<u64> {
        self.used.last().map(|used| highest_in_cell(used.cell()))
    }

    /// Every non-empty cell: the lowest value it counts, and its count.
    pub fn occupied(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.used.iter().map(|used| (lowest_in_cell(used.cell()), used.count))
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
        BASE64.encode(pack::pack(self.used.iter().map(|used| (used.cell(), used.count))))
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

/// `mine`, and those of `theirs` that are not in it: `count` together.
fn merged(mine: &[Used], theirs: &[Used], count: usize) -> Vec<Used> {
    let mut list = Vec::with_capacity(count);
    let mut more = theirs.iter().copied().peekable();
    for mine in mine {
        while let Some(before) = more.next_if(|theirs| theirs.cell() < mine.cell()) {
            list.push(before);
        }
        more.next_if(|theirs| theirs.cell() == mine.cell());
        list.push(*mine);
    }
    list.extend(more);
    list
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
            [(lowest_in_cell(cell_of(HIGHEST_NS)), HIGHEST_COUNT)]
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
