//! Every page once per lap, in a pseudo-random order that needs no table: a small Feistel cipher of the position.
//!
//! The cipher permutes the smallest power of two that holds the slice; positions that land outside are enciphered
//! again until they land inside (cycle walking, fewer than two rounds of it on average). Each lap has new keys.

use super::address::AddressPattern;
use crate::units::PageIndex;
use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng, SeedableRng},
};

const ROUNDS: usize = 4;

#[derive(Debug)]
pub(super) struct Shuffle {
    pages: u64,
    /// Position in the lap.
    next: u64,
    keys: SplitMix64,
    lap: Feistel,
}

impl Shuffle {
    /// Over `pages` pages, at least 1.
    pub(super) fn new(pages: u64, seed: u64) -> Self {
        let mut keys = SplitMix64::seed_from_u64(seed);
        let lap = Feistel::new(pages, &mut keys);
        Self { pages, next: 0, keys, lap }
    }

    #[inline]
    fn step(&mut self) -> u64 {
        if self.next == self.pages {
            self.lap = Feistel::new(self.pages, &mut self.keys);
            self.next = 0;
        }
        let mut page = self.lap.encipher(self.next);
        while page >= self.pages {
            page = self.lap.encipher(page);
        }
        self.next += 1;
        page
    }
}

impl AddressPattern for Shuffle {
    fn fill(&mut self, pages: &mut [PageIndex]) {
        for page in pages {
            *page = PageIndex(self.step());
        }
    }
}

/// A permutation of the numbers of `high_bits + low_bits` bits.
#[derive(Debug)]
struct Feistel {
    keys: [u64; ROUNDS],
    low_bits: u32,
    low_mask: u64,
    high_mask: u64,
}

impl Feistel {
    fn new(pages: u64, keys: &mut SplitMix64) -> Self {
        let bits = u64::BITS - (pages - 1).leading_zeros();
        let low_bits = bits.div_ceil(2);
        Self {
            keys: std::array::from_fn(|_| keys.next_u64()),
            low_bits,
            low_mask: (1 << low_bits) - 1,
            high_mask: (1 << (bits - low_bits)) - 1,
        }
    }

    /// The halves need not be equally wide: each round changes one by a function of the other alone, which is
    /// undone by doing it again.
    #[inline]
    fn encipher(&self, number: u64) -> u64 {
        let (mut high, mut low) = (number >> self.low_bits, number & self.low_mask);
        for pair in self.keys.chunks_exact(2) {
            high ^= mix(low, pair[0]) & self.high_mask;
            low ^= mix(high, pair[1]) & self.low_mask;
        }
        (high << self.low_bits) | low
    }
}

/// A keyed hash whose upper bits, which depend on every bit of both, come back as the lower ones.
#[inline]
fn mix(half: u64, key: u64) -> u64 {
    let mut hash = (half ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 32;
    hash.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32
}
