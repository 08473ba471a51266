//! A list of counts by cell as HdrHistogram's V2 format writes it: a run of empty cells is one number, and a number takes
//! as many bytes as it needs.
//!
//! A reader takes such lists ten times a second, and what they take is most of what it dirties: here some two bytes for a
//! cell that is not empty.

use super::CELLS;
use std::ops::Range;

/// The most bytes of one number.
pub(super) const NUMBER_BYTES: usize = 9;
/// The highest count that the format has: half of its numbers are lengths of empty runs.
pub(super) const HIGHEST_COUNT: u64 = i64::MAX as u64;
/// What is kept free of a list that is taken while its cells go on counting.
const SPARE_BYTES: usize = 32;

/// Counts by cell, none of them 0, in the order of their cells. Equal lists have equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Runs(Vec<u8>);

impl Runs {
    /// Of cells below [`CELLS`] in ascending order. They are asked twice, so that no more memory is touched than the list
    /// takes. A count beyond [`HIGHEST_COUNT`] becomes that.
    pub(super) fn of<I: Iterator<Item = (usize, u64)>>(cells: impl Fn() -> I) -> Self {
        let mut runs = Self::default();
        runs.refill(cells);
        runs
    }

    /// What [`Self::of`] gives, in the place of what this was.
    pub(super) fn refill<I: Iterator<Item = (usize, u64)>>(&mut self, cells: impl Fn() -> I) {
        let mut length = 0;
        numbers(cells(), |value| length += length_of(value));
        self.0.clear();
        self.0.reserve_exact(room(length));
        numbers(cells(), |value| push(&mut self.0, value));
    }

    /// Counts `count` more in `cell`, which is below [`CELLS`].
    pub(super) fn record(&mut self, cell: usize, count: u64) {
        if count == 0 {
            return;
        }
        let place = self.place(cell);
        let mut bytes = Vec::with_capacity(3 * NUMBER_BYTES);
        if place.count == 0 {
            skip(cell - place.cells.start, |value| push(&mut bytes, value));
        }
        push(&mut bytes, place.count.saturating_add(count).min(HIGHEST_COUNT) << 1);
        skip(place.cells.end.saturating_sub(cell + 1), |value| push(&mut bytes, value));
        self.0.splice(place.bytes, bytes);
    }

    /// The number that tells of `cell`; none of its bytes where that lies behind all that is told.
    fn place(&self, cell: usize) -> Place {
        let (mut walk, length) = (self.walk(), self.0.len());
        loop {
            let (byte, first) = (length - walk.rest.len(), walk.cell);
            let step = walk.step();
            if step.is_none() || walk.cell > cell {
                let bytes = byte..length - walk.rest.len();
                return Place { bytes, cells: first..walk.cell, count: step.unwrap_or(0) };
            }
        }
    }

    /// The cells that are not empty, and their counts.
    pub(super) fn cells(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let mut walk = self.walk();
        std::iter::from_fn(move || {
            loop {
                match walk.step()? {
                    0 => {}
                    count => return Some((walk.cell - 1, count)),
                }
            }
        })
    }

    /// Whether no cell is counted.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the format has them.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn walk(&self) -> Walk<'_> {
        Walk { rest: &self.0, cell: 0 }
    }
}

/// A number of a list.
struct Place {
    bytes: Range<usize>,
    /// What it tells of.
    cells: Range<usize>,
    /// 0 for a run of empty cells.
    count: u64,
}

/// A way through a list, a number at a time.
struct Walk<'a> {
    rest: &'a [u8],
    /// What comes next.
    cell: usize,
}

impl Walk<'_> {
    /// Passes the next number: the count of one cell, or 0 for a run of empty ones.
    #[expect(clippy::cast_possible_truncation, reason = "runs are not longer than all cells")]
    fn step(&mut self) -> Option<u64> {
        let value = pull(&mut self.rest)?;
        let is_run = value & 1 == 1;
        self.cell = self.cell.saturating_add(if is_run { value.div_ceil(2) as usize } else { 1 });
        Some(if is_run { 0 } else { value >> 1 })
    }
}

/// The numbers that say what `cells` are.
fn numbers(cells: impl Iterator<Item = (usize, u64)>, mut say: impl FnMut(u64)) {
    let mut next = 0;
    for (cell, count) in cells.take_while(|(cell, _)| *cell < CELLS).filter(|(_, count)| *count > 0) {
        skip(cell - next, &mut say);
        // A number is a count where it is even, halved, and so many empty cells where it is odd.
        say(count.min(HIGHEST_COUNT) << 1);
        next = cell + 1;
    }
}

/// So many empty cells: one is a count of nothing.
fn skip(empty: usize, mut say: impl FnMut(u64)) {
    match empty {
        0 => {}
        1 => say(0),
        more => say(((more as u64) << 1) - 1),
    }
}

/// How much room is asked for where `bytes` and some more are to go. What was freed is found again by its size, so a reader
/// that asks for few sizes stays on few pages; of what it asks for it touches no more than it needs.
pub(super) const fn room(bytes: usize) -> usize {
    (bytes + SPARE_BYTES).next_power_of_two()
}

/// How many bytes a number takes.
const fn length_of(value: u64) -> usize {
    let bits = (u64::BITS - value.leading_zeros()) as usize;
    let bytes = bits.div_ceil(7);
    if bytes == 0 {
        1
    } else if bytes > NUMBER_BYTES {
        NUMBER_BYTES
    } else {
        bytes
    }
}

/// Seven bits a byte, the lowest first; the ninth byte has eight.
#[expect(clippy::cast_possible_truncation, reason = "so many bits are meant")]
fn push(bytes: &mut Vec<u8>, mut value: u64) {
    for _ in 1..NUMBER_BYTES {
        if value < 0x80 {
            break;
        }
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Takes the first number of `bytes`.
fn pull(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..NUMBER_BYTES {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let is_last = place + 1 == NUMBER_BYTES || *byte < 0x80;
        value |= u64::from(if is_last { *byte } else { byte & 0x7f }) << (7 * place);
        if is_last {
            break;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn of(cells: &BTreeMap<usize, u64>) -> Runs {
        Runs::of(|| cells.iter().map(|(cell, count)| (*cell, *count)))
    }

    fn any_count() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..4, 60u64..70, 8_000u64..9_000, any::<u64>()]
    }

    proptest! {
        #[test]
        fn a_number_comes_back_and_is_as_long_as_was_said(value in any::<u64>(), bits in 0u32..64) {
            let value = value >> bits;
            let mut bytes = Vec::new();
            push(&mut bytes, value);
            prop_assert_eq!(bytes.len(), length_of(value));
            bytes.push(0xff);
            let mut rest = bytes.as_slice();
            prop_assert_eq!((pull(&mut rest), rest), (Some(value), &[0xff][..]));
        }

        #[test]
        fn a_list_is_what_it_was_made_of_and_has_the_room_that_it_asked_for(
            cells in prop::collection::btree_map(0..CELLS, any_count(), 0..60)
        ) {
            let runs = of(&cells);
            let truth: Vec<_> = cells
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(cell, count)| (cell, count.min(HIGHEST_COUNT)))
                .collect();
            prop_assert_eq!(runs.cells().collect::<Vec<_>>(), truth);
            prop_assert_eq!(runs.0.capacity(), room(runs.0.len()));
        }

        #[test]
        fn counting_one_by_one_makes_the_same_list(
            counted in prop::collection::vec((prop_oneof![0usize..40, 0..CELLS], any_count()), 0..60)
        ) {
            let (mut runs, mut truth) = (Runs::default(), BTreeMap::new());
            for (cell, count) in counted {
                runs.record(cell, count);
                let sum = truth.entry(cell).or_insert(0u64);
                *sum = sum.saturating_add(count).min(HIGHEST_COUNT);
                prop_assert_eq!(&runs, &of(&truth));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            Runs(bytes).cells().for_each(drop);
        }
    }
}
