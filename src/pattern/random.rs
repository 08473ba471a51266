//! Any page at any time: uniform, with replacement.

use super::address::{AddressPattern, FEW_AT_ONCE};
use crate::units::PageIndex;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

#[derive(Debug)]
pub(super) struct Random {
    pages: u64,
    numbers: Xoshiro256PlusPlus,
}

impl Random {
    /// Over `pages` pages, at least 1.
    pub(super) fn new(pages: u64, seed: u64) -> Self {
        Self { pages, numbers: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }
}

impl AddressPattern for Random {
    fn best_at_once(&self) -> usize {
        FEW_AT_ONCE
    }

    fn fill(&mut self, pages: &mut [PageIndex]) {
        for page in pages {
            *page = PageIndex(scale(self.numbers.next_u64(), self.pages));
        }
    }
}

/// A uniform 64-bit number as a uniform number below `bound`: no page is likelier than another by more than
/// `bound` / 2^64.
#[inline(always)]
pub(super) fn scale(number: u64, bound: u64) -> u64 {
    split(number, bound).0
}

/// The same, and what is left of the number: uniform again, in steps of `bound`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the upper and the lower half of a wide product")]
pub(super) fn split(number: u64, bound: u64) -> (u64, u64) {
    let product = u128::from(number) * u128::from(bound);
    ((product >> 64) as u64, product as u64)
}
