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
/// What is kept free of a list that may be longer than the one before it.
const SPARE_BYTES: usize = 32;

/// Counts by cell, none of them 0, in the order of their cells. Equal lists have equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Runs(Vec<u8>);

impl Runs {
    /// Of cells in ascending order; beyond [`CELLS`] they are left out. A count above [`HIGHEST_COUNT`] becomes that.
    ///
    /// Room is asked for as for a list of `like_bytes`, so that no more memory is touched than the list takes; a longer one
    /// asks again.
    pub(super) fn of(like_bytes: usize, cells: impl Iterator<Item = (usize, u64)>) -> Self {
        let mut bytes = Vec::with_capacity(room(like_bytes));
        let mut next = 0;
        cells.filter(|(cell, count)| *count > 0 && *cell < CELLS).for_each(|(cell, count)| {
            skip(cell - next, |value| push(&mut bytes, value));
            // A number is a count where it is even, halved, and so many empty cells where it is odd.
            push(&mut bytes, count.min(HIGHEST_COUNT) << 1);
            next = cell + 1;
        });
        Self(bytes)
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
        Occupied(self.walk())
    }

    /// What is counted here and not in `earlier`, cell by cell: no longer than this.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let (mut now, mut then) = (self.walk(), earlier.walk());
        let fresh = std::iter::from_fn(|| {
            loop {
                now.pass_alike(&mut then);
                while then.cell < now.cell && then.step().is_some() {}
                let (cell, is_beside) = (now.cell, then.cell == now.cell);
                let count = now.step()?;
                if count > 0 {
                    let before = if is_beside { then.step().unwrap_or(0) } else { 0 };
                    return Some((cell, count.saturating_sub(before)));
                }
            }
        });
        Self::of(self.0.len(), fresh)
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

/// The cells that a walk comes by and that are not empty.
struct Occupied<'a>(Walk<'a>);

impl Iterator for Occupied<'_> {
    type Item = (usize, u64);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.0.step()? {
                0 => {}
                count => return Some((self.0.cell - 1, count)),
            }
        }
    }
}

impl Walk<'_> {
    /// Passes what is alike in both, as far as that is told in single bytes, which most of it is: ten times a second two long
    /// lists are compared that differ in few places.
    #[inline(always)]
    fn pass_alike(&mut self, other: &mut Self) {
        while self.cell == other.cell
            && let (Some((one, rest)), Some((another, others))) =
                (self.rest.split_first(), other.rest.split_first())
            && one == another
            && *one < 0x80
        {
            self.cell += width(u64::from(*one));
            other.cell = self.cell;
            (self.rest, other.rest) = (rest, others);
        }
    }

    /// Passes the next number: the count of one cell, or 0 for a run of empty ones.
    #[inline(always)]
    fn step(&mut self) -> Option<u64> {
        let value = pull(&mut self.rest)?;
        self.cell = self.cell.saturating_add(width(value));
        Some(if value & 1 == 1 { 0 } else { value >> 1 })
    }
}

/// How many cells a number tells of: of an odd one half, rounded up, are empty.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "runs are not longer than all cells")]
fn width(value: u64) -> usize {
    if value & 1 == 1 { value.div_ceil(2) as usize } else { 1 }
}

/// So many empty cells: one is a count of nothing.
#[inline(always)]
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
    const STEP_BYTES: usize = 512;
    (bytes + SPARE_BYTES).next_multiple_of(STEP_BYTES)
}

/// Seven bits a byte, the lowest first; the ninth byte has eight.
#[inline(always)]
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
#[inline(always)]
pub(super) fn pull(bytes: &mut &[u8]) -> Option<u64> {
    match bytes.split_first()? {
        // Most are of one byte.
        (byte, rest) if *byte < 0x80 => {
            *bytes = rest;
            Some(u64::from(*byte))
        }
        _ => pull_long(bytes),
    }
}

/// Takes the first number of `bytes`, however long.
fn pull_long(bytes: &mut &[u8]) -> Option<u64> {
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
        Runs::of(0, cells.iter().map(|(cell, count)| (*cell, *count)))
    }

    fn any_count() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..4, 60u64..70, 8_000u64..9_000, any::<u64>()]
    }

    proptest! {
        #[test]
        fn a_number_comes_back_and_what_follows_it_stays(value in any::<u64>(), bits in 0u32..64) {
            let value = value >> bits;
            let mut bytes = Vec::new();
            push(&mut bytes, value);
            prop_assert!(bytes.len() <= NUMBER_BYTES);
            bytes.push(0xff);
            let mut rest = bytes.as_slice();
            prop_assert_eq!((pull(&mut rest), rest), (Some(value), &[0xff][..]));
        }

        #[test]
        fn a_list_is_what_it_was_made_of_and_one_that_is_alike_has_the_room_that_it_asked_for(
            cells in prop::collection::btree_map(0..CELLS + 9, any_count(), 0..60)
        ) {
            let runs = of(&cells);
            let truth: Vec<_> = cells
                .into_iter()
                .filter(|(cell, count)| *cell < CELLS && *count > 0)
                .map(|(cell, count)| (cell, count.min(HIGHEST_COUNT)))
                .collect();
            prop_assert_eq!(runs.cells().collect::<Vec<_>>(), truth);
            let again = Runs::of(runs.0.len(), runs.cells());
            prop_assert_eq!(again.0.capacity(), room(runs.0.len()));
            prop_assert_eq!(again, runs);
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
        fn what_is_fresh_is_the_difference_of_each_cell(
            now in prop::collection::btree_map(prop_oneof![0usize..40, 0..CELLS], any_count(), 0..60),
            changed in prop::collection::btree_map(prop_oneof![0usize..40, 0..CELLS], any_count(), 0..9),
        ) {
            let mut then = now.clone();
            then.extend(changed);
            let mut fresh = now.clone();
            for (cell, count) in &mut fresh {
                *count = (*count).min(HIGHEST_COUNT).saturating_sub(then.get(cell).copied().unwrap_or(0));
            }
            let found = of(&now).since(&of(&then));
            prop_assert!(found.0.len() <= of(&now).0.len());
            prop_assert_eq!(found, of(&fresh));
            prop_assert_eq!(of(&now).since(&Runs::default()), of(&now));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), others in prop::collection::vec(any::<u8>(), 0..40)) {
            Runs(bytes.clone()).cells().for_each(drop);
            Runs(bytes).since(&Runs(others));
        }
    }
}
