//! Which visits only read: a seeded choice that never strays from the share asked for by more than a visit or two.
//!
//! The reads still owed are kept to the fraction; a visit reads when they exceed a random number between none and one.
//! Independent choices would wander off by the root of the visits; choices at even distances would fall in step with
//! the pattern and read the same pages for ever. This does neither.

use super::random::scale;
use crate::plan::VisitMix;
use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng, SeedableRng},
};

/// Keeps these choices apart from the page sequence of the same seed.
const CHOICE_SEED: u64 = 0x7375_6c6c_7921_0002;

/// Chooses the visits of one writer that only read.
#[derive(Debug)]
pub struct Reads {
    mix: VisitMix,
    /// The reads owed, in parts of a visit: as many parts as the mix has visits.
    owed: i64,
    numbers: SplitMix64,
}

impl Reads {
    /// The same seed chooses the same visits for ever.
    pub fn new(mix: VisitMix, seed: u64) -> Self {
        Self { mix, owed: 0, numbers: SplitMix64::seed_from_u64(seed ^ CHOICE_SEED) }
    }

    /// Says of each of the next visits whether it only reads.
    pub fn fill(&mut self, reads: &mut [bool]) {
        if self.mix.reads == 0 {
            reads.fill(false);
            return;
        }
        let (share, whole) = (self.mix.reads.cast_signed(), self.mix.visits.cast_signed());
        for read in reads {
            self.owed += share;
            *read = self.owed > scale(self.numbers.next_u64(), self.mix.visits).cast_signed();
            self.owed -= if *read { whole } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(mix: VisitMix, seed: u64, visits: usize) -> Vec<bool> {
        let mut reads = vec![true; visits];
        Reads::new(mix, seed).fill(&mut reads);
        reads
    }

    #[test]
    fn the_same_seed_chooses_the_same_visits_for_ever() {
        let chosen = chosen(VisitMix { reads: 3, visits: 10 }, 1, 40);
        let text: String = chosen.iter().map(|read| if *read { 'r' } else { 'w' }).collect();
        assert_eq!(text, "");
    }

    #[test]
    fn no_page_of_a_lap_is_read_or_written_always() {
        // A lap of ten visits and three reads of every ten: at even distances these would be the same three pages.
        let chosen = chosen(VisitMix { reads: 3, visits: 10 }, 7, 10_000);
        for page in 0..10 {
            let reads = chosen.iter().skip(page).step_by(10).filter(|read| **read).count();
            assert!((200..=400).contains(&reads), "page {page}: {reads} of 1000");
        }
    }

    proptest! {
        #[test]
        fn the_share_is_kept_to_the_visit_wherever_it_is_counted(
            reads in 0u64..=1000, more in 0u64..1_000_000_000, seed: u64, cut in 0usize..2000
        ) {
            let mix = VisitMix { reads, visits: (reads + more).max(1) };
            let chosen = chosen(mix, seed, 2000);
            let count = chosen[..cut].iter().filter(|read| **read).count() as f64;
            let exact = cut as f64 * mix.reads as f64 / mix.visits as f64;
            prop_assert!((count - exact).abs() <= 2.0, "{count} for {exact}");
        }

        #[test]
        fn none_and_all_are_none_and_all(visits in 1u64..1_000_000_000, seed: u64) {
            prop_assert!(!chosen(VisitMix { reads: 0, visits }, seed, 100).contains(&true));
            prop_assert!(!chosen(VisitMix { reads: visits, visits }, seed, 100).contains(&false));
        }
    }
}
