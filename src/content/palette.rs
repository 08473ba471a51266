//! What pages hold beyond their stamp, and what visits write there.
//!
//! **Compressible pages** are blocks of 512 bytes: of each the first part is random, the rest repeats one random word of the
//! page. So a part of a page compresses like the whole, and a packet of pages like each of them.
//!
//! **Deltas**: the page is cut into as many stretches as bytes are to change, and one byte of each changes.
//!
//! **Pages that are alike**: which pages those are follows from the seed and the page's position; a visit writes them again.

use super::{FILLED, Filler, STAMP_WORDS};
use crate::{
    plan::ContentSpec,
    units::{PAGE_BYTES, PAGE_WORDS, PageIndex, Share},
};
use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng, SeedableRng},
};

/// The words of a block of compressible content.
const BLOCK_WORDS: usize = 64;

/// What a palette is made of.
#[derive(Debug, Clone, Copy)]
pub struct Paints {
    /// What pages hold.
    pub content: ContentSpec,
    /// The bytes of a page that a visit writes, a stamp among them.
    pub write_bytes: u64,
    /// Whether pages begin with a stamp.
    pub stamped: bool,
    /// The share of pages that are alike.
    pub dedup: Share,
    /// Where the pages that are alike come from, and which they are; the same for all writers.
    pub common_seed: u64,
}

/// The content of one writer's pages.
#[derive(Debug, Clone)]
pub struct Palette {
    paints: Paints,
    filler: Filler,
    /// The first word that a visit may write beyond what it writes anyway.
    first: usize,
    /// What a visit writes there; of a delta as many words as bytes change.
    words: Box<[u64]>,
    /// Which bytes a delta changes, in the order of `words`.
    places: Box<[u16]>,
}

/// What a visit writes beyond the stamp.
#[derive(Debug, PartialEq, Eq)]
pub enum Stroke<'a> {
    /// These words, from the word with this number on.
    Put(usize, &'a [u64]),
    /// These words are changed where the other has its bits.
    Flip(&'a [u16], &'a [u64]),
    /// So many words, from the word with this number on, are written again as they are.
    Again(usize, usize),
}

impl Palette {
    /// The same seed gives the same content.
    pub fn new(paints: Paints, seed: u64) -> Self {
        let least = if paints.stamped { STAMP_WORDS } else { usize::from(is_plain(&paints)) };
        let end = usize::try_from(paints.write_bytes / 8).unwrap_or(PAGE_WORDS);
        let (words, places) = match paints.content {
            ContentSpec::Delta(bytes) => (usize::from(bytes), usize::from(bytes)),
            _ => (end.saturating_sub(least), 0),
        };
        // Never zero from the start, or the first visit would pay for the first touch of it.
        let (words, places) = (vec![u64::MAX; words].into(), vec![u16::MAX; places].into());
        Self { paints, filler: Filler::new(seed), first: least, words, places }
    }

    /// Random content of which a visit writes 8 bytes, for tests that are about something else.
    #[cfg(test)]
    pub fn usual(stamped: bool, seed: u64) -> Self {
        let (content, write_bytes, dedup) = (ContentSpec::Random, 8, Share::default());
        Self::new(Paints { content, write_bytes, stamped, dedup, common_seed: seed }, seed)
    }

    /// Writes the content of the page at this position of the whole region.
    pub fn fill(&mut self, position: PageIndex, page: &mut [u64; PAGE_WORDS]) {
        if self.is_alike(position) {
            return Filler::new(self.paints.common_seed).draw(page);
        }
        match self.paints.content {
            ContentSpec::Random | ContentSpec::Delta(_) | ContentSpec::Same => self.filler.draw(page),
            ContentSpec::Zero => page.fill(0),
            ContentSpec::Fill(byte) => page.fill(u64::from_ne_bytes([byte; 8])),
            ContentSpec::Compress(percent) => {
                let mut repeated = [0];
                self.filler.draw(&mut repeated);
                page.fill(repeated[0]);
                compressible(&mut self.filler, percent, 0, page);
            }
        }
        if is_plain(&self.paints) {
            page[0] |= FILLED;
        }
    }

    /// Whether a visit of a page without a stamp writes a number into its first word.
    #[inline]
    pub const fn is_plain(&self) -> bool {
        is_plain(&self.paints)
    }

    /// Whether a visit writes more than the stamp or that number.
    #[inline]
    pub const fn paints(&self) -> bool {
        !self.words.is_empty()
    }

    /// What a visit of the page at this position of the whole region writes beyond them.
    pub fn stroke(&mut self, position: PageIndex) -> Stroke<'_> {
        let (first, count) = (self.first, self.words.len());
        if self.is_alike(position) {
            return Stroke::Again(first, count);
        }
        match self.paints.content {
            ContentSpec::Random => self.filler.draw(&mut self.words),
            ContentSpec::Zero => self.words.fill(0),
            ContentSpec::Fill(byte) => self.words.fill(u64::from_ne_bytes([byte; 8])),
            ContentSpec::Compress(percent) => self.renew(percent),
            ContentSpec::Delta(_) => {
                self.scatter();
                return Stroke::Flip(&self.places, &self.words);
            }
            ContentSpec::Same => return Stroke::Again(first, count),
        }
        Stroke::Put(first, &self.words)
    }

    /// Draws compressible content into what a visit writes.
    fn renew(&mut self, percent: u8) {
        let mut repeated = [0];
        self.filler.draw(&mut repeated);
        self.words.fill(repeated[0]);
        compressible(&mut self.filler, percent, self.first, &mut self.words);
    }

    /// Chooses the bytes of a delta and how each changes.
    fn scatter(&mut self) {
        let from = self.first as u64 * 8;
        let (count, span) = (self.places.len() as u64, PAGE_BYTES - from);
        for (number, (place, change)) in (0u64..).zip(self.places.iter_mut().zip(self.words.iter_mut())) {
            let (low, high) = (number * span / count, (number + 1) * span / count);
            let mut drawn = [0];
            self.filler.draw(&mut drawn);
            let byte = from + low + (drawn[0] >> 32) % (high - low);
            #[expect(clippy::cast_possible_truncation, reason = "a word of a page")]
            let word = (byte / 8) as u16;
            *place = word;
            *change = (1 + (drawn[0] & u64::from(u32::MAX)) % 255) << (byte % 8 * 8);
        }
    }

    fn is_alike(&self, position: PageIndex) -> bool {
        let share = self.paints.dedup.millionths();
        share > 0 && {
            let drawn = SplitMix64::seed_from_u64(self.paints.common_seed ^ position.0).next_u64();
            ((drawn >> 32) * u64::from(Share::WHOLE)) >> 32 < u64::from(share)
        }
    }
}

/// Whether the first word of a page without a stamp may be a number that visits count on.
const fn is_plain(paints: &Paints) -> bool {
    let counts = matches!(paints.content, ContentSpec::Random | ContentSpec::Compress(_));
    !paints.stamped && counts && paints.dedup.millionths() == 0
}

/// Draws the random parts of compressible content into `words`, the first of which is word `first` of its page.
fn compressible(filler: &mut Filler, percent: u8, first: usize, words: &mut [u64]) {
    let random = (BLOCK_WORDS * usize::from(100 - percent.min(100))).div_ceil(100);
    let mut at = 0;
    while at < words.len() {
        let within = (first + at) % BLOCK_WORDS;
        let end = (at + BLOCK_WORDS - within).min(words.len());
        let fresh = random.saturating_sub(within).min(end - at);
        filler.draw(&mut words[at..at + fresh]);
        at = end;
    }
}

#[cfg(test)]
mod tests;
