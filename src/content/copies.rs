//! Pages that hold the same bytes as others.
//!
//! Which pages are copies is spread over the slice, the share of every 100 pages being exact. All copies hold the bytes
//! of one page, in one of [`LOOKS`] looks that differ in the first word: a visit moves a copy on to the next look. So a
//! visit changes a copy, and it still holds what others hold; a look that only one page has is rare, and short-lived.

use super::{RandomWords, mixture::mix};
use crate::units::{PageIndex, Share};

/// So many looks have copies. A power of two.
const LOOKS: u64 = 4;
/// Pages among which the share is exact, and a step through them that comes to each: the two have no common factor.
const BLOCK: u64 = 100;
const STEP: u64 = 37;

/// Which pages are copies, and of what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copies {
    share: Share,
    seed: u64,
}

impl Copies {
    /// The same seed gives the same bytes, to every writer.
    pub(super) const fn new(share: Share, seed: u64) -> Self {
        Self { share, seed }
    }

    /// Whether `page` is one.
    pub(super) fn holds(self, page: PageIndex) -> bool {
        let (block, place) = (page.0 / BLOCK, page.0 % BLOCK);
        // Another beginning in every block, so that copies do not lie at equal distances over the slice.
        let number = block * BLOCK + (place * STEP + mix(block) % BLOCK) % BLOCK;
        self.share.of(number + 1) > self.share.of(number)
    }

    /// Where the bytes of all copies begin.
    pub(super) fn source(self) -> RandomWords {
        RandomWords::new(self.seed)
    }

    /// What all copies share beside these bytes.
    pub(super) const fn seed(self) -> u64 {
        self.seed
    }

    /// The first word of the first look: it is never zero.
    pub(super) fn first(self) -> u64 {
        (mix(self.seed) | super::FILLED) & !(LOOKS - 1)
    }

    /// The first word of the look after the one with `found`, whatever was found.
    pub(super) fn next(self, found: u64) -> u64 {
        self.first() | (found.wrapping_add(1) & (LOOKS - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_many_pages_are_copies_as_were_asked_for(percent in 0u32..=100, blocks in 1u64..50) {
            let copies = Copies::new(Share::from_millionths(percent * 10_000), 1);
            let held = (0..blocks * 100).filter(|page| copies.holds(PageIndex(*page))).count();
            prop_assert_eq!(held as u64, u64::from(percent) * blocks);
        }

        #[test]
        fn a_share_that_no_block_has_is_met_by_all_together(millionths in 0u32..=1_000_000) {
            let copies = Copies::new(Share::from_millionths(millionths), 1);
            let held = (0..100_000).filter(|page| copies.holds(PageIndex(*page))).count();
            prop_assert!(held.abs_diff(millionths as usize / 10) <= 1);
        }

        #[test]
        fn a_visit_changes_a_copy_and_it_comes_back_to_every_look(seed: u64, found: u64) {
            let copies = Copies::new(Share::default(), seed);
            prop_assert_ne!(copies.next(found), found);
            let mut word = copies.next(found);
            for _ in 0..LOOKS {
                let next = copies.next(word);
                prop_assert!(next != word && next != 0);
                word = next;
            }
            prop_assert_eq!(word, copies.next(found));
        }
    }
}
