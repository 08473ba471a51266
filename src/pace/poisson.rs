//! Poisson arrivals that can be told at any time without knowing those before.
//!
//! Time is cut into blocks of 1000 to 2500 visits, all writers together. A block has exactly the visits that the even
//! schedule has in it, and each falls anywhere in the block, uniformly and independently: a Poisson process whose
//! counts at the ends of blocks are known. Distances between visits are exponential (to a part in a thousand), counts
//! over less than a block vary as Poisson counts do, and the mean over whole blocks is exact and never drifts; a chain
//! of exponential distances would still be 1 % off its rate, by chance, after 10 000 visits.
//!
//! A block's visits follow from seed, writer and block alone: the writer sorts them to know the next one, a reader
//! counts how many lie before a time. Neither needs the other.

use super::even::{Even, NS_PER_S};
use crate::units::below;
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;

/// A block has at least so many visits of all writers together.
const BLOCK_VISITS: u64 = 1_000;
/// Separates the random times from the plan's other random numbers.
const PACE_SEED: u64 = 0x7375_6c6c_7921_0003;

/// The arrivals of one writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Poisson {
    even: Even,
    block_ns: u64,
    key: u64,
}

impl Poisson {
    /// As many visits as `even` has in each block, at times that follow from `seed` and `writer`.
    pub(super) fn new(even: Even, seed: u64, writer: u32) -> Self {
        let key = hash(hash(seed ^ PACE_SEED).wrapping_add(u64::from(writer)));
        Self { even, block_ns: block_ns(even.rate), key }
    }

    /// How many visits were due before `at_ns`.
    pub(super) fn offered(&self, at_ns: u64) -> u64 {
        let block = self.block_at(at_ns);
        let begin_ns = self.begin_ns(block);
        let before = self.offsets(block).filter(|offset_ns| begin_ns.saturating_add(*offset_ns) < at_ns);
        self.even.offered(begin_ns).saturating_add(before.count() as u64)
    }

    fn block_at(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.even.t0_ns) / self.block_ns
    }

    fn begin_ns(&self, block: u64) -> u64 {
        self.even.t0_ns.saturating_add(block.saturating_mul(self.block_ns))
    }

    fn visits(&self, block: u64) -> u64 {
        let before = self.even.offered(self.begin_ns(block));
        self.even.offered(self.begin_ns(block.saturating_add(1))).saturating_sub(before)
    }

    /// How far into the block its visits are due, in no order.
    fn offsets(&self, block: u64) -> impl Iterator<Item = u64> {
        let (mut numbers, length_ns) =
            (SplitMix64::seed_from_u64(hash(self.key.wrapping_add(block))), self.block_ns);
        (0..self.visits(block)).map(move |_| below(numbers.next_u64(), length_ns))
    }

    /// The most visits a block can have.
    pub(super) fn most_visits(&self) -> usize {
        let most = u128::from(self.block_ns) * u128::from(self.even.rate) / u128::from(NS_PER_S);
        usize::try_from(most / u128::from(self.even.writers)).unwrap_or(usize::MAX).saturating_add(2)
    }

    /// The arrivals in order, from the first one on.
    pub(super) fn starts(self) -> PoissonStarts {
        let due_ns = Vec::with_capacity(self.most_visits());
        let mut starts = PoissonStarts { poisson: self, block: 0, due_ns, next: 0 };
        starts.fill(0);
        starts
    }
}

/// The arrivals of one writer, in order. Takes memory when it is made and never again.
#[derive(Debug, Clone)]
pub(super) struct PoissonStarts {
    poisson: Poisson,
    block: u64,
    /// Those of the block, in order; never empty.
    due_ns: Vec<u64>,
    next: usize,
}

impl PoissonStarts {
    #[inline]
    pub(super) fn peek(&self) -> u64 {
        self.due_ns.get(self.next).copied().unwrap_or(u64::MAX)
    }

    #[inline]
    pub(super) fn step(&mut self) {
        self.next += 1;
        if self.next >= self.due_ns.len() {
            self.fill(self.block.saturating_add(1));
        }
    }

    /// Goes to the first visit that is due at `at_ns` or later.
    pub(super) fn seek(&mut self, at_ns: u64) {
        self.fill(self.poisson.block_at(at_ns));
        while self.peek() < at_ns {
            self.step();
        }
    }

    /// Takes up the first block from `block` on that has visits: with many writers not every one has.
    fn fill(&mut self, block: u64) {
        (self.block, self.next) = (block, 0);
        self.due_ns.clear();
        self.take();
        while self.due_ns.is_empty() {
            self.block = self.block.saturating_add(1);
            self.take();
        }
        self.due_ns.sort_unstable();
    }

    fn take(&mut self) {
        let begin_ns = self.poisson.begin_ns(self.block);
        let offsets = self.poisson.offsets(self.block);
        self.due_ns.extend(offsets.map(|offset_ns| begin_ns.saturating_add(offset_ns)));
        if begin_ns == u64::MAX {
            // The end of all time that can be told.
            self.due_ns.push(u64::MAX);
        }
    }
}

/// The shortest of 1, 2, 5, 10, 20, ... us in which `rate` has [`BLOCK_VISITS`]: seconds are whole blocks, or blocks
/// whole seconds.
fn block_ns(rate: u64) -> u64 {
    let enough_ns = (BLOCK_VISITS * NS_PER_S).div_ceil(rate.max(1));
    let mut decade_ns: u64 = 1_000;
    while decade_ns * 10 <= enough_ns {
        decade_ns *= 10;
    }
    let found = [1, 2, 5].map(|times| decade_ns * times).into_iter().find(|span_ns| *span_ns >= enough_ns);
    found.unwrap_or(decade_ns * 10)
}

fn hash(number: u64) -> u64 {
    SplitMix64::seed_from_u64(number).next_u64()
}

#[cfg(test)]
mod tests;
