//! What a visit does to a page: a word into a bare page, or a stamp checked and a new one in its place; or a look.

use super::control::Control;
use crate::{
    clock::Clock,
    content::{Ledger, Palette, STAMP_WORDS, Stamp, Strokes},
    record::CorruptionKind,
    region::Slice,
    tally::{Find, LongVisitRaw, StampTally},
    units::PageIndex,
};
use std::sync::Arc;

/// How many visits ahead of its own a page's stamp is asked for.
const AHEAD: usize = 16;
/// The final sweep looks at its clock and counts after so many pages.
const SWEEP_STEP: u64 = 1024;

/// One writer's pages, and what it does to them.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) slice: Slice,
    strokes: Strokes,
    palette: Palette,
    stamps: Option<Stamps>,
    /// When the page visited last had been visited before that; meant only where there are stamps.
    met_ns: u64,
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
    pub(super) fn fill(mut slice: Slice, mut palette: Palette, stamps: Option<Stamps>) -> Self {
        let mut page = PageIndex(0);
        slice.fill(|words| {
            palette.fill(words);
            if let Some(stamps) = &stamps {
                let stamp = stamps.ledger.filled(page);
                words[..stamp.len()].copy_from_slice(&stamp);
            }
            page.0 += 1;
        });
        Self { slice, strokes: Strokes::default(), palette, stamps, met_ns: 0 }
    }

    /// Asks for the pages at the front of a batch.
    #[inline]
    pub(super) fn approach(&self, pages: &[PageIndex]) {
        if self.stamps.is_some() {
            pages.iter().take(AHEAD).for_each(|page| self.slice.prefetch(*page));
        }
    }

    /// Visits the page at `index` of a batch.
    #[inline]
    pub(super) fn visit(&mut self, pages: &[PageIndex], index: usize, now_ns: u64, control: &Control) {
        let page = pages[index];
        match &mut self.stamps {
            None => self.slice.write(page, self.strokes.draw()),
            Some(stamps) => {
                if let Some(coming) = pages.get(index + AHEAD) {
                    self.slice.prefetch(*coming);
                }
                let found = self.slice.words(page);
                self.met_ns = Stamp::of(&found).visited_ns;
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
                self.met_ns = Stamp::of(&found).visited_ns;
                if let Err(kind) = stamps.ledger.check(page, &found) {
                    stamps.mend(&mut self.slice, page, (kind, found), now_ns);
                }
            }
        }
    }

    /// The visit just done as one that took long.
    #[cold]
    pub(super) fn long_visit(&self, start_ns: u64, end_ns: u64, writes: u64) -> LongVisitRaw {
        let page_visited_ns = self.stamps.as_ref().map(|_| self.met_ns);
        LongVisitRaw { start_ns, len_ns: end_ns.saturating_sub(start_ns), page_visited_ns, writes }
    }

    /// Writes what lies beyond the stamp.
    #[inline(never)]
    fn paint(&mut self, page: PageIndex) {
        let (slice, palette) = (&mut self.slice, &mut self.palette);
        palette.stroke(|from, words| slice.put_at(page, from, words));
    }

    /// Looks at every page once more; gives up at `limit_ns`. A corrupt page is stamped anew.
    pub(super) fn sweep<C: Clock>(&mut self, clock: &C, limit_ns: u64) {
        let Some(stamps) = &mut self.stamps else { return };
        let pages = self.slice.pages().0;
        for first in (0..pages).step_by(usize::try_from(SWEEP_STEP).unwrap_or(1)) {
            if clock.now_ns() >= limit_ns {
                return;
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
            stamps.tally.swept(end - first);
        }
    }
}
