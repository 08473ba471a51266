//! Pages that compress by so much: random words, which do not compress, and one word over and over, which does.
//!
//! A page has [`PARTS`] equal parts, each with its share of random words first, so that a piece of a page compresses
//! about as a whole one does. The repeated word is another in every page: many pages together compress hardly better than
//! each of them alone, however far back a compressor remembers.

use super::RandomWords;
use crate::units::{PAGE_WORDS, PageIndex};
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;

/// Parts of a page.
const PARTS: usize = 8;
const PART_WORDS: usize = PAGE_WORDS / PARTS;
/// What compression takes for itself in a page of parts, in words: between what zlib takes of a page alone and of one
/// among many.
const OVERHEAD_WORDS: usize = 8;

/// How many words of each part are random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mixture {
    random_words: usize,
}

impl Mixture {
    /// Of which compression saves `percent`.
    pub(super) fn saving(percent: u8) -> Self {
        let kept = (PAGE_WORDS * usize::from(100u8.saturating_sub(percent)) + 50) / 100;
        Self { random_words: kept.saturating_sub(OVERHEAD_WORDS) }
    }

    /// Writes the words of a page from word `from` on; `phrase` is the repeated one.
    pub(super) fn paint(self, source: &mut RandomWords, phrase: u64, from: usize, words: &mut [u64]) {
        for (word, index) in words.iter_mut().zip(from..) {
            *word = if self.is_random(index) { source.word() } else { phrase };
        }
    }

    const fn is_random(self, index: usize) -> bool {
        let (part, place) = (index / PART_WORDS, index % PART_WORDS);
        place < self.random_words * (part + 1) / PARTS - self.random_words * part / PARTS
    }
}

/// The repeated word of a page.
pub(super) fn phrase(seed: u64, page: PageIndex) -> u64 {
    mix(seed ^ mix(page.0))
}

/// Spreads the bits of a number over all of it: the first output of a SplitMix64 with this seed.
pub(super) fn mix(number: u64) -> u64 {
    SplitMix64::seed_from_u64(number).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_random_words_are_those_asked_for_and_every_part_has_its_share() {
        for percent in 1..=95 {
            let mixture = Mixture::saving(percent);
            let mut page = [0; PAGE_WORDS];
            mixture.paint(&mut RandomWords::new(1), 7, 0, &mut page);
            let random = |part: &[u64]| part.iter().filter(|word| **word != 7).count();
            assert_eq!(random(&page), mixture.random_words, "{percent}");
            let parts: Vec<usize> = page.chunks(PART_WORDS).map(random).collect();
            assert!(parts.iter().all(|part| part.abs_diff(parts[0]) <= 1), "{percent}: {parts:?}");
        }
    }

    #[test]
    fn a_part_of_a_page_is_painted_as_the_whole_is() {
        let mixture = Mixture::saving(50);
        let (mut page, mut rest) = ([0; PAGE_WORDS], [0; PAGE_WORDS - 5]);
        mixture.paint(&mut RandomWords::new(1), 7, 0, &mut page);
        mixture.paint(&mut RandomWords::new(2), 7, 5, &mut rest);
        assert!(page[5..].iter().zip(&rest).all(|(one, other)| (*one == 7) == (*other == 7)));
    }

    #[test]
    fn every_page_repeats_a_word_of_its_own() {
        let mut phrases: Vec<u64> = (0..10_000).map(|page| phrase(3, PageIndex(page))).collect();
        phrases.sort_unstable();
        phrases.dedup();
        assert_eq!(phrases.len(), 10_000);
    }
}
