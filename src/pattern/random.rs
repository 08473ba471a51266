//! Any page at any time: uniform, with replacement.

use super::address::{AddressPattern, FEW_AT_ONCE};
use crate::units::{PageIndex, below};
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
            *page = PageIndex(below(self.numbers.next_u64(), self.pages));
        }
    }
}
