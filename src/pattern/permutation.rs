//! A pseudo-random order of the pages of a slice that needs no table of them: a small Feistel cipher of the position.
//!
//! The cipher permutes the smallest power of two that holds the slice; positions that land outside are enciphered
//! again until they land inside (cycle walking, fewer than two rounds of it on average). What a round does to one half
//! depends on the other half alone, of which there are few: a round is a table, 2 KiB of it at 1 GiB, and a page costs
//! four look-ups.

use crate::units::PageIndex;
use rand::Rng;
use rand_xoshiro::SplitMix64;

const ROUNDS: usize = 4;

/// A permutation of the pages of a slice.
#[derive(Debug)]
pub(super) struct Permutation {
    pages: u64,
    cipher: Feistel,
}

impl Permutation {
    /// Of `pages` pages, at least 1; takes its keys from `keys`.
    pub(super) fn new(pages: u64, keys: &mut SplitMix64) -> Self {
        Self { pages, cipher: Feistel::new(pages, keys) }
    }

    /// Makes it another one, with the next keys. Allocates nothing.
    pub(super) fn renew(&mut self, keys: &mut SplitMix64) {
        self.cipher.set_keys(keys);
    }

    /// The pages at `position`, which is below the number of pages, and those that follow, as many as `pages` has room for.
    #[inline]
    pub(super) fn fill(&self, position: u64, pages: &mut [PageIndex]) {
        for (position, page) in (position..).zip(pages) {
            *page = PageIndex(self.page(position));
        }
    }

    /// The page at `position`, which is below the number of pages.
    #[inline(always)]
    pub(super) fn page(&self, position: u64) -> u64 {
        let mut page = self.cipher.encipher(position);
        while page >= self.pages {
            page = self.cipher.encipher(page);
        }
        page
    }
}

/// A permutation of the numbers of `high_bits + low_bits` bits.
#[derive(Debug)]
struct Feistel {
    /// What each round does for every value of the half it looks at: a power of two of them.
    rounds: [Box<[u32]>; ROUNDS],
    low_bits: u32,
    low_mask: u64,
    high_mask: u64,
}

impl Feistel {
    #[expect(clippy::cast_possible_truncation, reason = "half the bits of a number of pages")]
    fn new(pages: u64, keys: &mut SplitMix64) -> Self {
        let bits = u64::BITS - (pages - 1).leading_zeros();
        let low_bits = bits.div_ceil(2);
        let (low_mask, high_mask) = ((1u64 << low_bits) - 1, (1u64 << (bits - low_bits)) - 1);
        let table = |mask: u64| vec![0; mask as usize + 1].into_boxed_slice();
        let rounds = [table(low_mask), table(high_mask), table(low_mask), table(high_mask)];
        let mut cipher = Self { rounds, low_bits, low_mask, high_mask };
        cipher.set_keys(keys);
        cipher
    }

    #[expect(clippy::cast_possible_truncation, reason = "masked to half the bits of a number of pages")]
    fn set_keys(&mut self, keys: &mut SplitMix64) {
        let (low, high) = (self.low_mask, self.high_mask);
        for (round, mask) in self.rounds.iter_mut().zip([high, low, high, low]) {
            let key = keys.next_u64();
            for (half, change) in (0..).zip(round.iter_mut()) {
                *change = (mix(half, key) & mask) as u32;
            }
        }
    }

    /// The halves need not be equally wide: each round changes one by a function of the other alone, which is
    /// undone by doing it again.
    #[inline(always)]
    fn encipher(&self, number: u64) -> u64 {
        let (mut high, mut low) = (number >> self.low_bits, number & self.low_mask);
        let [first, second, third, fourth] = &self.rounds;
        high ^= change(first, low);
        low ^= change(second, high);
        high ^= change(third, low);
        low ^= change(fourth, high);
        (high << self.low_bits) | low
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "half the bits of a number of pages")]
fn change(round: &[u32], half: u64) -> u64 {
    u64::from(round[half as usize])
}

/// A keyed hash whose upper bits, which depend on every bit of both, come back as the lower ones.
fn mix(half: u64, key: u64) -> u64 {
    let mut hash = (half ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 32;
    hash.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32
}
