//! What pages hold beyond their stamp, and what visits write there.

use super::{Filler, STAMP_WORDS};
use crate::units::PAGE_WORDS;

/// The content of one writer's pages: random, and different from page to page and from visit to visit.
#[derive(Debug, Clone)]
pub struct Palette {
    filler: Filler,
    /// The words that a visit writes beyond what it writes anyway: the stamp, or the first word.
    first: usize,
    words: Box<[u64]>,
}

impl Palette {
    /// Content of which a visit changes `write_bytes`, what it writes anyway among them. The same seed gives the same
    /// content.
    pub fn new(write_bytes: u64, stamped: bool, seed: u64) -> Self {
        let first = if stamped { STAMP_WORDS } else { 1 };
        let end = usize::try_from(write_bytes / 8).unwrap_or(PAGE_WORDS);
        // Never zero from the start, or the first visit would pay for the first touch of it.
        let words = vec![u64::MAX; end.saturating_sub(first)];
        Self { filler: Filler::new(seed), first, words: words.into() }
    }

    /// The content of the next page.
    pub fn fill(&mut self, page: &mut [u64; PAGE_WORDS]) {
        self.filler.fill(page);
    }

    /// Whether a visit writes more than the stamp or the first word.
    #[inline]
    pub const fn paints(&self) -> bool {
        !self.words.is_empty()
    }

    /// What a visit writes beyond them: handed to `put` with the word it begins at.
    pub fn stroke(&mut self, put: impl FnOnce(usize, &[u64])) {
        self.filler.draw(&mut self.words);
        put(self.first, &self.words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stroke(write_bytes: u64, stamped: bool) -> Option<(usize, Vec<u64>)> {
        let mut palette = Palette::new(write_bytes, stamped, 1);
        let mut drawn = None;
        if palette.paints() {
            palette.stroke(|from, words| drawn = Some((from, words.to_vec())));
        }
        drawn
    }

    #[test]
    fn a_visit_writes_as_much_as_was_asked_for_and_the_stamp_at_least() {
        for (write, stamped, expected) in [
            (8, false, None),
            (8, true, None),
            (40, true, None),
            (48, true, Some((5, 1))),
            (4096, true, Some((5, 507))),
            (16, false, Some((1, 1))),
            (4096, false, Some((1, 511))),
        ] {
            let drawn = stroke(write, stamped).map(|(from, words)| (from, words.len()));
            assert_eq!(drawn, expected, "{write} {stamped}");
        }
    }

    #[test]
    fn every_visit_writes_something_else() {
        let mut palette = Palette::new(4096, true, 1);
        let mut drawn = Vec::new();
        for _ in 0..100 {
            palette.stroke(|_, words| drawn.push(words.to_vec()));
        }
        drawn.sort();
        drawn.dedup();
        assert_eq!(drawn.len(), 100);
    }
}
