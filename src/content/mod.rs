//! What pages hold: the bytes they are filled with, and the words that visits write.
//!
//! Pages begin with a [`Stamp`] unless they are asked not to: then a visit changes one word, the first. The fill sets that
//! word's top bit, a visit writes a count from 1 on, which never reaches the top bit: so the word is never zero, each
//! visit really changes it, and whether a page was visited can be read off it. Where a [`PageFiller`] is to hold one byte
//! over and over, copies, or bytes that stay, it says what becomes of the first word.

mod copies;
mod filler;
mod journal;
mod ledger;
mod mixture;
mod scatter;
mod stamp;

pub use filler::{PageFiller, Touch};
pub use journal::{Journal, Note};
pub use ledger::{Ledger, StampCheck};
pub use stamp::{STAMP_WORDS, Stamp, new_tag};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Marks a first word that the fill wrote.
const FILLED: u64 = 1 << 63;

/// Whether a page with this first word was visited since it was filled.
#[cfg(test)]
pub const fn is_visited(first_word: u64) -> bool {
    first_word & FILLED == 0
}

/// Makes the first word of a page one that the fill wrote.
const fn mark_filled(word: &mut u64) {
    *word |= FILLED;
}

/// Random bytes, different from page to page: what neither compression nor deduplication makes smaller.
#[derive(Debug, Clone)]
pub struct RandomWords {
    numbers: Xoshiro256PlusPlus,
}

impl RandomWords {
    /// The same seed fills the same pages alike.
    pub fn new(seed: u64) -> Self {
        Self { numbers: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// The next words, whatever they are for.
    pub fn draw(&mut self, words: &mut [u64]) {
        words.fill_with(|| self.word());
    }

    /// The next word.
    #[inline]
    pub fn word(&mut self) -> u64 {
        self.numbers.next_u64()
    }
}

/// The words one writer's visits write, in order.
#[derive(Debug, Clone, Default)]
pub struct Strokes {
    last: u64,
}

impl Strokes {
    /// The word of the next visit: not zero, and not what any page of this writer's holds.
    #[inline(always)]
    pub fn draw(&mut self) -> u64 {
        // Even at a visit a nanosecond the count needs 292 years to reach the top bit.
        self.last += 1;
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stroke_changes_the_word_it_falls_on() {
        let mut strokes = Strokes::default();
        let drawn: Vec<u64> = (0..1000).map(|_| strokes.draw()).collect();
        assert!(drawn.iter().all(|word| *word != 0 && is_visited(*word)));
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
