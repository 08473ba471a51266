//! In which order pages are visited: seeded sequences that are the same for ever, drawn a batch at a time.

mod address;
mod random;
mod sequential;
mod shuffle;

pub use address::AddressPattern;

use crate::{plan::PatternSpec, units::PageCount};
use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng, SeedableRng},
};

/// The sequence that `spec` names over a slice of `pages` (an empty one counts as one page).
pub fn pattern(spec: PatternSpec, pages: PageCount, seed: u64) -> Box<dyn AddressPattern> {
    let pages = pages.0.max(1);
    match spec {
        PatternSpec::Sequential => Box::new(sequential::Sequential::new(pages)),
        PatternSpec::Shuffle => Box::new(shuffle::Shuffle::new(pages, seed)),
        PatternSpec::Random => Box::new(random::Random::new(pages, seed)),
    }
}

/// The seed of one writer: the output number `writer` of a SplitMix64 seeded with the plan's.
pub fn writer_seed(plan_seed: u64, writer: u32) -> u64 {
    let mut seeds = SplitMix64::seed_from_u64(plan_seed);
    let mut seed = seeds.next_u64();
    for _ in 0..writer {
        seed = seeds.next_u64();
    }
    seed
}

#[cfg(test)]
mod tests;
