//! Changes of so many bytes, scattered over a page: what delta compression (xbzrle) finds between two versions of it.

use super::RandomWords;

/// Bits below the point of a position.
const POINT: u32 = 32;

/// Which bytes of a page may change, and how many of them do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scatter {
    first_byte: u64,
    bytes: u64,
    /// The length of the stretch from which each changed byte is picked, with [`POINT`] bits below the point.
    stretch: u64,
}

impl Scatter {
    /// `bytes` of those from `first_byte` to `end_byte`; at least one, at most all.
    pub(super) fn new(first_byte: u64, end_byte: u64, bytes: u16) -> Self {
        let area = end_byte.saturating_sub(first_byte).max(1);
        let bytes = u64::from(bytes).clamp(1, area);
        Self { first_byte, bytes, stretch: (area << POINT) / bytes }
    }

    /// Picks the bytes, all different ones, since each is picked from a stretch of its own; every change is a change.
    /// `flip` gets a byte's word and the bits of it that are to change.
    pub(super) fn draw(self, source: &mut RandomWords, mut flip: impl FnMut(usize, u64)) {
        let edge = |number: u64| (number * self.stretch) >> POINT;
        for number in 0..self.bytes {
            let (begin, end, random) = (edge(number), edge(number + 1), source.word());
            let byte = self.first_byte + begin + (((end - begin) * (random >> POINT)) >> POINT);
            let word = (byte / 8) as usize;
            // Which end of a word comes first does not matter: it is another byte each time.
            flip(word, (random & 0xff | 1) << (byte % 8 * 8));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::PAGE_WORDS;
    use proptest::prelude::*;

    fn changed(scatter: Scatter, source: &mut RandomWords) -> Vec<usize> {
        let mut page = [0u64; PAGE_WORDS];
        scatter.draw(source, |word, bits| page[word] ^= bits);
        let bytes = page.iter().flat_map(|word| word.to_ne_bytes());
        bytes.enumerate().filter(|(_, byte)| *byte != 0).map(|(place, _)| place).collect()
    }

    proptest! {
        #[test]
        fn exactly_so_many_bytes_change_and_none_of_the_stamp(bytes in 1u16..=4056, stamped: bool, seed: u64) {
            let first = if stamped { 40 } else { 0 };
            let changed = changed(Scatter::new(first, 4096, bytes), &mut RandomWords::new(seed));
            prop_assert_eq!(changed.len(), usize::from(bytes));
            prop_assert!(changed[0] as u64 >= first);
        }
    }

    #[test]
    fn every_byte_gets_its_turn_and_each_visit_picks_others() {
        let (scatter, mut source) = (Scatter::new(40, 4096, 16), RandomWords::new(1));
        let mut hits = [0u32; 4096];
        for _ in 0..10_000 {
            for place in changed(scatter, &mut source) {
                hits[place] += 1;
            }
        }
        let (least, most) = (hits[40..].iter().min().unwrap(), hits[40..].iter().max().unwrap());
        assert!(*least > 10 && *most < 90, "{least} to {most}, 39 on average");
        assert!(hits[..40].iter().all(|hits| *hits == 0));
    }
}
