//! What pages hold beyond their stamp, and what visits write there.

use super::{
    RandomWords, STAMP_WORDS,
    copies::Copies,
    mixture::{Mixture, phrase},
    scatter::Scatter,
};
use crate::{
    plan::ContentSpec,
    units::{PAGE_BYTES, PAGE_WORDS, PageIndex, Share},
};

/// The content of one writer's pages. Random, if nothing else is asked for: different from page to page and from visit
/// to visit.
#[derive(Debug, Clone)]
pub struct PageFiller {
    source: RandomWords,
    seed: u64,
    content: Content,
    copies: Option<Copies>,
    stamped: bool,
    /// The words that a visit writes beyond what it writes anyway: the stamp, or the first word.
    first: usize,
    words: Box<[u64]>,
}

/// What a page holds, ready for use.
#[derive(Debug, Clone, Copy)]
enum Content {
    Random,
    Fill(u64),
    Compress(Mixture),
    Delta(Scatter),
    Same,
}

/// What a visit does to a page, its stamp apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// It stores again what is there: so many words in all.
    Keep(usize),
    /// It changes some bytes, and no more.
    Flip,
    /// It moves a copy on: its first word is to be changed by [`PageFiller::next_copy`], and then it is painted.
    Copy,
    /// It writes this as the first word of a page without a stamp, and then paints.
    Word(u64),
    /// It changes the first word of a page without a stamp to a new one, and then paints.
    Fresh,
}

impl PageFiller {
    /// Random content of which a visit changes `write_bytes`, what it writes anyway among them. The same seed gives the
    /// same content.
    pub fn new(write_bytes: u64, stamped: bool, seed: u64) -> Self {
        let first = if stamped { STAMP_WORDS } else { 1 };
        let end = usize::try_from(write_bytes / 8).unwrap_or(PAGE_WORDS);
        // Never zero from the start, or the first visit would pay for the first touch of it.
        let words = vec![u64::MAX; end.saturating_sub(first)];
        let (source, content) = (RandomWords::new(seed), Content::Random);
        Self { source, seed, content, copies: None, stamped, first, words: words.into() }
    }

    /// The same with another content.
    #[must_use]
    pub fn of(self, content: ContentSpec) -> Self {
        let above = if self.stamped { STAMP_WORDS as u64 * 8 } else { 0 };
        let content = match content {
            ContentSpec::Random => Content::Random,
            ContentSpec::Zero => Content::Fill(0),
            ContentSpec::Fill(byte) => Content::Fill(u64::from_ne_bytes([byte; 8])),
            ContentSpec::Compress(percent) => Content::Compress(Mixture::saving(percent)),
            ContentSpec::Delta(bytes) => Content::Delta(Scatter::new(above, PAGE_BYTES, bytes)),
            ContentSpec::Same => Content::Same,
        };
        Self { content, ..self }
    }

    /// The same with a share of the pages being copies of one page; the seed says of which. Pages with stamps are none.
    #[must_use]
    pub fn with_copies(self, share: Share, seed: u64) -> Self {
        let wanted = share.millionths() > 0 && !self.stamped && !matches!(self.content, Content::Fill(_));
        Self { copies: wanted.then(|| Copies::new(share, seed)), ..self }
    }

    /// The content of `page` before the first visit.
    pub fn fill(&mut self, page: PageIndex, words: &mut [u64; PAGE_WORDS]) {
        if let Some(copies) = self.copies.filter(|copies| copies.holds(page)) {
            // As visits paint it: from the second word on, since copies have no stamps.
            paint(&self.content, &mut copies.source(), copies.seed(), 1, &mut words[1..]);
            words[0] = copies.first();
            return;
        }
        paint(&self.content, &mut self.source, phrase(self.seed, page), 0, words);
        if !matches!(self.content, Content::Fill(_)) {
            super::mark_filled(&mut words[0]);
        }
    }

    /// Whether a visit writes the stamp, or else a new first word, and nothing more: the usual case.
    #[inline]
    pub fn is_plain(&self) -> bool {
        let by_the_word = !self.stamped && matches!(self.content, Content::Fill(_));
        let apart = matches!(self.content, Content::Delta(_) | Content::Same) || self.copies.is_some();
        self.words.is_empty() && !apart && !by_the_word
    }

    /// What a visit does to `page`.
    pub fn touch(&self, page: PageIndex) -> Touch {
        if matches!(self.content, Content::Same) {
            return Touch::Keep(self.first + self.words.len());
        }
        if self.copies.is_some_and(|copies| copies.holds(page)) {
            return Touch::Copy;
        }
        match self.content {
            Content::Delta(_) => Touch::Flip,
            Content::Fill(word) => Touch::Word(word),
            Content::Random | Content::Compress(_) | Content::Same => Touch::Fresh,
        }
    }

    /// The first word of a copy after a visit that found `found` there.
    pub fn next_copy(&self, found: u64) -> u64 {
        self.copies.map_or(found, |copies| copies.next(found))
    }

    /// What a visit to `page` writes beyond the stamp or the first word: handed to `put` with the word it begins at.
    pub fn stroke(&mut self, page: PageIndex, put: impl FnOnce(usize, &[u64])) {
        if self.words.is_empty() {
            return;
        }
        if let Some(copies) = self.copies.filter(|copies| copies.holds(page)) {
            paint(&self.content, &mut copies.source(), copies.seed(), self.first, &mut self.words);
        } else {
            paint(&self.content, &mut self.source, phrase(self.seed, page), self.first, &mut self.words);
        }
        put(self.first, &self.words);
    }

    /// The bytes that a visit changes: handed to `flip` one by one, as a word and the bits of it that change.
    pub fn flips(&mut self, flip: impl FnMut(usize, u64)) {
        if let Content::Delta(scatter) = self.content {
            scatter.draw(&mut self.source, flip);
        }
    }
}

/// Writes content into the words of a page from word `from` on.
fn paint(content: &Content, source: &mut RandomWords, phrase: u64, from: usize, words: &mut [u64]) {
    match content {
        Content::Fill(word) => words.fill(*word),
        Content::Compress(mixture) => mixture.paint(source, phrase, from, words),
        Content::Random | Content::Delta(_) | Content::Same => source.draw(words),
    }
}

#[cfg(test)]
mod tests;
