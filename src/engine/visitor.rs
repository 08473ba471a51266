//! What a visit does to a page: a word into a bare page, or a stamp checked and a new one in its place; or a look.

use super::control::Control;
use crate::{
    clock::Clock,
    content::{Ledger, Palette, STAMP_WORDS, Stroke, Strokes},
    record::CorruptionKind,
    region::{RegionError, Slice},
    tally::{Find, StampTally},
    units::PageIndex,
};
use std::sync::Arc;

/// How many visits ahead of its own a page's stamp is asked for.
const AHEAD: usize = 16;
/// A sweep looks whether it is over, and counts, after so many pages.
const SWEEP_STEP: u64 = 1024;

/// One writer's pages, and what it does to them.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) slice: Slice,
    strokes: Strokes,
    palette: Palette,
    stamps: Option<Stamps>,
}

/// What a writer of stamped pages keeps.
#[derive(Debug)]
pub(super) struct Stamps {
    pub(super) ledger: Ledger,
    pub(super) tally: Arc<StampTally>,
}

impl Stamps {
    /// Reports a page that was found corrupt and stamps it anew, as not written in any epoch: it counts once.
    #[cold]
    fn mend(
        &mut self,
        slice: &mut Slice,
        page: PageIndex,
        (kind, found): (CorruptionKind, [u64; STAMP_WORDS]),
        now_ns: u64,
    ) {
        self.report(page, kind, found, self.ledger.generation(page));
        let meeting = self.ledger.meet(page, &found, 0, now_ns);
        slice.put(page, &meeting.stamp);
    }

    #[cold]
    fn report(&self, page: PageIndex, kind: CorruptionKind, found: [u64; STAMP_WORDS], generation: u16) {
        let page = self.ledger.position(page);
        self.tally.corrupt(&Find { page, kind, generation, found });
    }
}

impl Visitor {
    /// Fills the pages: stamped where there are to be stamps.
    ///
    /// # Errors
    /// When the memory cannot be had.
    pub(super) fn fill(
        mut slice: Slice,
        mut palette: Palette,
        stamps: Option<Stamps>,
    ) -> Result<Self, RegionError> {
        let (first, mut page) = (slice.first(), PageIndex(0));
        slice.fill(|words| {
            palette.fill(PageIndex(first.0 + page.0), words);
            if let Some(stamps) = &stamps {
                let stamp = stamps.ledger.filled(page);
                words[..stamp.len()].copy_from_slice(&stamp);
            }
            page.0 += 1;
        })?;
        Ok(Self { slice, strokes: Strokes::default(), palette, stamps })
    }

    /// Asks for the pages at the front of a batch.
    #[inline]
    pub(super) fn approach(&self, pages: &[PageIndex]) {
        if self.stamps.is_some() {
            pages.iter().take(AHEAD).for_each(|page| self.slice.prefetch(*page));
        }
    }

    /// Visits all `pages`, where a visit is one store and nothing else; says whether that is so.
    #[inline]
    pub(super) fn dash(&mut self, pages: &[PageIndex]) -> bool {
        let is_store = self.stamps.is_none() && self.palette.is_plain() && !self.palette.paints();
        if is_store {
            for page in pages {
                self.slice.write(*page, self.strokes.draw());
            }
        }
        is_store
    }

    /// Visits the page at `index` of a batch.
    #[inline]
    pub(super) fn visit(&mut self, pages: &[PageIndex], index: usize, now_ns: u64, control: &Control) {
        let page = pages[index];
        match &mut self.stamps {
            None if self.palette.is_plain() => self.slice.write(page, self.strokes.draw()),
            None => {}
            Some(stamps) => {
                if let Some(coming) = pages.get(index + AHEAD) {
                    self.slice.prefetch(*coming);
                }
                let found = self.slice.words(page);
                let meeting = stamps.ledger.meet(page, &found, control.epoch(), now_ns);
                self.slice.put(page, &meeting.stamp);
                stamps.tally.visited(meeting.again);
                if let Some(kind) = meeting.corrupt {
                    let generation = stamps.ledger.generation(page).wrapping_sub(1);
                    stamps.report(page, kind, found, generation);
                }
            }
        }
        if self.palette.paints() {
            self.paint(page);
        }
    }

    /// Loads the beginning of the page at `index` of a batch, and where it has a stamp, checks it. Only a corrupt page
    /// is written.
    #[inline]
    pub(super) fn read(&mut self, pages: &[PageIndex], index: usize, now_ns: u64) {
        let page = pages[index];
        match &mut self.stamps {
            None => {
                self.slice.read(page);
            }
            Some(stamps) => {
                if let Some(coming) = pages.get(index + AHEAD) {
                    self.slice.prefetch(*coming);
                }
                let found = self.slice.words(page);
                if let Err(kind) = stamps.ledger.check(page, &found) {
                    stamps.mend(&mut self.slice, page, (kind, found), now_ns);
                }
            }
        }
    }

    /// Writes what lies beyond the stamp.
    #[inline(never)]
    fn paint(&mut self, page: PageIndex) {
        let slice = &mut self.slice;
        match self.palette.stroke(PageIndex(slice.first().0 + page.0)) {
            Stroke::Put(first, words) => slice.put_at(page, first, words),
            Stroke::Flip(places, changes) => {
                for (word, change) in places.iter().zip(changes) {
                    slice.change(page, usize::from(*word), |found| found ^ change);
                }
            }
            Stroke::Again(first, count) => {
                (first..first + count).for_each(|word| slice.change(page, word, |found| found));
            }
        }
    }

    /// From now on visits write what `palette` says.
    pub(super) fn set_palette(&mut self, palette: Palette) {
        self.palette = palette;
    }

    /// Looks at every page once more, as long as it is not over; returns how many it came to. A corrupt page is stamped
    /// anew. The last sweep of a run counts in the tally.
    pub(super) fn sweep<C: Clock>(&mut self, clock: &C, is_over: impl Fn() -> bool, last: bool) -> u64 {
        let Some(stamps) = &mut self.stamps else { return 0 };
        let pages = self.slice.pages().0;
        for first in (0..pages).step_by(usize::try_from(SWEEP_STEP).unwrap_or(1)) {
            if is_over() {
                return first;
            }
            let end = pages.min(first + SWEEP_STEP);
            for page in (first..end).map(PageIndex) {
                if page.0 + (AHEAD as u64) < end {
                    self.slice.prefetch(PageIndex(page.0 + AHEAD as u64));
                }
                let found = self.slice.words(page);
                if let Err(kind) = stamps.ledger.check(page, &found) {
                    stamps.mend(&mut self.slice, page, (kind, found), clock.now_ns());
                }
            }
            if last {
                stamps.tally.swept(end - first);
            }
        }
        pages
    }
}
