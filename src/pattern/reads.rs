//! Which visits only read: a seeded choice that is never more than five visits away from the share asked for.
//!
//! **Blocks.** Visits are taken in blocks that hold some two reads (or, where most visits read, some two writes). How
//! many reads a block gets is what is owed so far, rounded up or down at random; which of its visits they are is drawn
//! evenly. So each visit reads with exactly the chance asked for, whatever its number. Independent choices would wander
//! off by the root of the visits; choices at even distances would fall in step with the pattern and read the same pages
//! for ever.

use crate::{plan::VisitMix, units::below};
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;

/// Keeps these choices apart from the page sequence of the same seed.
const CHOICE_SEED: u64 = 0x7375_6c6c_7921_0002;
/// So many visits of the rarer kind are in a block: with two, rounding never asks for less than none of them.
const RARE: u64 = 2;

/// Chooses the visits of one writer that only read.
#[derive(Debug)]
pub struct Reads {
    mix: VisitMix,
    /// The visits of a block.
    block: u64,
    /// The visits left of the block under way, and the reads among them.
    left: VisitMix,
    /// The reads owed before it, in parts of a visit: as many parts as the mix has visits.
    owed: i64,
    numbers: SplitMix64,
}

impl Reads {
    /// The same seed chooses the same visits for ever.
    pub fn new(mix: VisitMix, seed: u64) -> Self {
        let rare = mix.reads.min(mix.visits - mix.reads).max(1);
        Self {
            mix,
            block: (RARE * mix.visits).div_ceil(rare),
            left: VisitMix { reads: 0, visits: 0 },
            owed: 0,
            numbers: SplitMix64::seed_from_u64(seed ^ CHOICE_SEED),
        }
    }

    /// Whether no visit ever only reads.
    pub const fn is_never(&self) -> bool {
        self.mix.reads == 0
    }

    /// Says of each of the next visits whether it only reads.
    pub fn fill(&mut self, reads: &mut [bool]) {
        if self.mix.reads == 0 || self.mix.reads == self.mix.visits {
            reads.fill(self.mix.reads > 0);
            return;
        }
        for read in reads {
            if self.left.visits == 0 {
                self.begin_block();
            }
            *read = below(self.numbers.next_u64(), self.left.visits) < self.left.reads;
            self.left.visits -= 1;
            self.left.reads -= u64::from(*read);
        }
    }

    fn begin_block(&mut self) {
        let whole = self.mix.visits.cast_signed();
        // At most 2e9 visits, of which reads are at most 1e9 parts: far below 2^63.
        self.owed += (self.block * self.mix.reads).cast_signed();
        let luck = below(self.numbers.next_u64(), self.mix.visits).cast_signed();
        let reads = (self.owed + luck).div_euclid(whole);
        self.owed -= reads * whole;
        self.left = VisitMix { reads: reads.unsigned_abs(), visits: self.block };
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
        assert_eq!(text, "wwrwrwwwwrwrwwrwwwwrwwwwwrrwwrwwrwrwwwrw");
    }

    #[test]
    fn no_page_of_a_lap_is_read_or_written_always() {
        // A lap of ten visits and three reads of every ten: at even distances these would be the same three pages.
        let chosen = chosen(VisitMix { reads: 3, visits: 10 }, 7, 10_000);
        for page in 0..10 {
            // Of 1000 laps 300, give or take 14 as chance will have it.
            let reads = chosen.iter().skip(page).step_by(10).filter(|read| **read).count();
            assert!((240..=360).contains(&reads), "page {page}: {reads} of 1000");
        }
    }

    proptest! {
        #[test]
        fn the_share_is_kept_to_five_visits_wherever_it_is_counted(
            reads in 0u64..=1000, more in 0u64..1_000_000_000, seed: u64, cut in 0usize..2000
        ) {
            let mix = VisitMix { reads, visits: (reads + more).max(1) };
            let chosen = chosen(mix, seed, 2000);
            let count = chosen[..cut].iter().filter(|read| **read).count() as f64;
            let exact = cut as f64 * mix.reads as f64 / mix.visits as f64;
            prop_assert!((count - exact).abs() <= 5.0, "{count} for {exact}");
        }

        #[test]
        fn none_and_all_are_none_and_all(visits in 1u64..1_000_000_000, seed: u64) {
            let all = |reads| chosen(VisitMix { reads, visits }, seed, 100);
            prop_assert_eq!(all(0), [false; 100]);
            prop_assert_eq!(all(visits), [true; 100]);
        }
    }
}
