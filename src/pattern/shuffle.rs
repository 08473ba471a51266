//! Every page once per lap, in a pseudo-random order; each lap has a new one.

use super::{
    address::{AddressPattern, FEW_AT_ONCE},
    permutation::Permutation,
};
use crate::units::PageIndex;
use rand::SeedableRng;
use rand_xoshiro::SplitMix64;

#[derive(Debug)]
pub(super) struct Shuffle {
    pages: u64,
    /// Position in the lap.
    next: u64,
    keys: SplitMix64,
    lap: Permutation,
}

impl Shuffle {
    /// Over `pages` pages, at least 1.
    pub(super) fn new(pages: u64, seed: u64) -> Self {
        let mut keys = SplitMix64::seed_from_u64(seed);
        let lap = Permutation::new(pages, &mut keys);
        Self { pages, next: 0, keys, lap }
    }
}

impl AddressPattern for Shuffle {
    fn best_at_once(&self) -> usize {
        FEW_AT_ONCE
    }

    fn fill(&mut self, mut pages: &mut [PageIndex]) {
        while !pages.is_empty() {
            if self.next == self.pages {
                self.lap.renew(&mut self.keys);
                self.next = 0;
            }
            let left = usize::try_from(self.pages - self.next).unwrap_or(usize::MAX);
            let (now, later) = pages.split_at_mut(pages.len().min(left));
            self.lap.fill(self.next, now);
            self.next += now.len() as u64;
            pages = later;
        }
    }
}
