//! In which order pages are visited: seeded sequences that are the same for ever, drawn a batch at a time.

mod address;
mod hotspot;
mod permutation;
mod power;
mod random;
mod reads;
mod sequential;
mod shuffle;
mod stride;
mod zipf;

pub use address::AddressPattern;
pub use reads::Reads;

use crate::{plan::PatternSpec, units::PageCount};
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;

/// The sequence that `spec` names over a slice of `pages` (an empty one counts as one page). A hot set stays.
pub fn pattern(spec: PatternSpec, pages: PageCount, seed: u64) -> Box<dyn AddressPattern> {
    pattern_at(spec, 0, pages, seed)
}

/// The same; `visits_per_s`, of all writers together, turn what drifts with time into what drifts from visit to visit.
pub fn pattern_at(
    spec: PatternSpec,
    visits_per_s: u64,
    pages: PageCount,
    seed: u64,
) -> Box<dyn AddressPattern> {
    let pages = pages.0.max(1);
    match spec {
        PatternSpec::Sequential => Box::new(sequential::Sequential::new(pages)),
        PatternSpec::Shuffle => Box::new(shuffle::Shuffle::new(pages, seed)),
        PatternSpec::Random => Box::new(random::Random::new(pages, seed)),
        PatternSpec::Zipf(theta) => Box::new(zipf::Zipf::new(theta, pages, seed)),
        PatternSpec::Hotspot(spec) => Box::new(hotspot::Hotspot::new(spec, visits_per_s, pages, seed)),
        PatternSpec::Stride(stride) => Box::new(stride::Stride::new(pages, stride.get())),
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
