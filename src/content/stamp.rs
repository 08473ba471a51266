//! The stamp that opens a page: which page it is, whose, how often and when it was visited, and a checksum.
//!
//! | word | holds |
//! |---|---|
//! | 0 | the page's position in the whole region |
//! | 1 | visits of the page so far, modulo 65 536, and from bit 32 on the interval's epoch |
//! | 2 | the session's tag, random |
//! | 3 | when the last visit began, CLOCK_MONOTONIC in ns; 0 for the fill |
//! | 4 | the checksum of words 0 to 3 |
//!
//! Pages are aligned, so a stamp lies within one cache line.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The words of a stamp.
pub const STAMP_WORDS: usize = 5;

/// What a stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The page's position in the whole region.
    pub page: u64,
    /// Visits of the page so far, modulo 65 536; the fill is none.
    pub generation: u16,
    /// The epoch of the last visit.
    pub epoch: u32,
    /// Whose page it is.
    pub tag: u64,
    /// When the last visit began.
    pub visited_ns: u64,
}

impl Stamp {
    /// As it stands in memory.
    #[inline(always)]
    pub const fn words(&self) -> [u64; STAMP_WORDS] {
        let Self { page, generation, epoch, tag, visited_ns } = *self;
        let second = generation as u64 | ((epoch as u64) << 32);
        [page, second, tag, visited_ns, checksum(page, second, tag, visited_ns)]
    }

    /// What the words say, whether their checksum fits or not.
    #[expect(clippy::cast_possible_truncation, reason = "the parts of a word")]
    #[inline(always)]
    pub const fn of(words: &[u64; STAMP_WORDS]) -> Self {
        let [page, second, tag, visited_ns, _] = *words;
        Self { page, generation: second as u16, epoch: (second >> 32) as u32, tag, visited_ns }
    }

    /// Whether the words fit their checksum.
    #[inline(always)]
    pub const fn is_whole(words: &[u64; STAMP_WORDS]) -> bool {
        let [page, second, tag, visited_ns, found] = *words;
        // The unused bits of the second word are part of the checksum, so none of the 320 bits is free.
        checksum(page, second, tag, visited_ns) == found
    }
}

/// A tag that no other session has: the standard library's hash keys are random per process.
pub fn new_tag() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Two independent products, so that the processor works on both at once.
#[inline(always)]
const fn checksum(page: u64, second: u64, tag: u64, visited_ns: u64) -> u64 {
    let one = fold(page ^ 0x9e37_79b9_7f4a_7c15, second ^ 0xbf58_476d_1ce4_e5b9);
    let other = fold(tag ^ 0x94d0_49bb_1331_11eb, visited_ns ^ 0xd6e8_feb8_6659_fd93);
    one ^ other.rotate_left(23)
}

/// The full product of two words, its halves laid over each other.
#[expect(clippy::cast_possible_truncation, reason = "the halves of a product")]
#[inline(always)]
const fn fold(one: u64, other: u64) -> u64 {
    let product = one as u128 * other as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamps() -> impl Strategy<Value = Stamp> {
        (any::<u64>(), any::<u16>(), any::<u32>(), any::<u64>(), any::<u64>()).prop_map(
            |(page, generation, epoch, tag, visited_ns)| Stamp { page, generation, epoch, tag, visited_ns },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(stamp in stamps()) {
            prop_assert!(Stamp::is_whole(&stamp.words()));
            prop_assert_eq!(Stamp::of(&stamp.words()), stamp);
        }

        #[test]
        fn no_flipped_bit_goes_unnoticed(stamp in stamps(), bit in 0usize..STAMP_WORDS * 64) {
            let mut words = stamp.words();
            words[bit / 64] ^= 1 << (bit % 64);
            prop_assert!(!Stamp::is_whole(&words));
        }

        #[test]
        fn a_mixture_of_two_stamps_goes_unnoticed_only_when_it_is_one_of_them(
            one in stamps(), other in stamps(), cut in 1usize..STAMP_WORDS
        ) {
            let mut words = one.words();
            words[cut..].copy_from_slice(&other.words()[cut..]);
            prop_assert_eq!(Stamp::is_whole(&words), words == one.words() || words == other.words());
        }

        #[test]
        fn successive_visits_of_a_page_cannot_be_mixed_either(stamp in stamps(), later in 1u64..1 << 40, cut in 1usize..STAMP_WORDS) {
            let next = Stamp {
                generation: stamp.generation.wrapping_add(1),
                visited_ns: stamp.visited_ns.wrapping_add(later),
                ..stamp
            };
            let mut words = stamp.words();
            words[cut..].copy_from_slice(&next.words()[cut..]);
            prop_assert_eq!(Stamp::is_whole(&words), words == stamp.words() || words == next.words());
        }
    }

    #[test]
    fn zeros_are_no_stamp() {
        assert!(!Stamp::is_whole(&[0; STAMP_WORDS]));
    }

    #[test]
    fn tags_differ() {
        assert_ne!(new_tag(), new_tag());
    }
}
