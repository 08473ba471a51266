//! What a visit does to a page: a word into a bare page, or a stamp checked and a new one in its place, and what more the
//! content asks for; or a look.

use super::{control::Control, stamps::Stamps};
use crate::{
    clock::Clock,
    content::{PageFiller, Strokes, Touch},
    region::{RegionError, Slice},
    tally::LongWait,
    units::{PageCount, PageIndex},
};

/// Pages are asked for so many at a time, one such group ahead of the visits. One by one would cost twice the time of
/// a visit: most of it is the walk through the page tables, and the processor takes several walks at once only when
/// they are asked for one right after the other.
const TOGETHER: usize = 8;
/// A sweep looks whether it is over, and counts, after so many pages.
const SWEEP_STEP: u64 = 1024;
/// How many pages ahead of its own a sweep asks for.
const SWEEP_AHEAD: u64 = 16;

/// From this length on a wait for a page is told, ns: the lowest threshold of a canary.
const STALL_NS: u64 = 100_000;

/// One writer's pages, and what it does to them.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) slice: Slice,
    strokes: Strokes,
    filler: PageFiller,
    stamps: Option<Stamps>,
}

impl Visitor {
    /// Fills the pages: stamped where there are to be stamps.
    #[cfg(test)]
    pub(super) fn fill(
        slice: Slice,
        filler: PageFiller,
        stamps: Option<Stamps>,
    ) -> Result<Self, RegionError> {
        Self::fill_while(slice, filler, stamps, |_| true)
    }

    /// Fills the pages: stamped where there are to be stamps. `goes_on` hears of so many more, and says whether to go on.
    ///
    /// # Errors
    /// When the memory cannot be had, or it did not go on.
    pub(super) fn fill_while(
        mut slice: Slice,
        mut filler: PageFiller,
        stamps: Option<Stamps>,
        goes_on: impl Fn(PageCount) -> bool,
    ) -> Result<Self, RegionError> {
        let mut page = PageIndex(0);
        slice.fill_while(goes_on, |words| {
            filler.fill(page, words);
            if let Some(stamps) = &stamps {
                let stamp = stamps.ledger.filled(page);
                words[..stamp.len()].copy_from_slice(&stamp);
            }
            page.0 += 1;
        })?;
        Ok(Self { slice, strokes: Strokes::default(), filler, stamps })
    }

    /// What is better done before the visits of a batch than during them.
    #[inline]
    pub(super) fn prepare(&self, pages: &[PageIndex]) {
        if let Some(stamps) = &self.stamps {
            stamps.fetch_ledger(pages);
        }
    }

    /// Asks for the pages at the front of a batch. Stores into bare pages are asked for as well: one that is timed waits for
    /// the walk through the page tables, and that alone takes longer than a stamp does.
    #[inline]
    pub(super) fn approach(&self, pages: &[PageIndex]) {
        self.ask_group(pages, 0);
    }

    /// Asks for the next group of pages, once for every group that visits have come to.
    #[inline(always)]
    fn ask_ahead(&self, pages: &[PageIndex], index: usize) {
        if index.is_multiple_of(TOGETHER) {
            self.ask(pages.iter().skip(index + TOGETHER).take(TOGETHER));
        }
    }

    /// The same where it is not worth to be inlined.
    #[inline]
    fn ask_apart(&self, pages: &[PageIndex], index: usize) {
        if index.is_multiple_of(TOGETHER) {
            self.ask_group(pages, index + TOGETHER);
        }
    }

    #[inline(never)]
    fn ask_group(&self, pages: &[PageIndex], from: usize) {
        self.ask(pages.iter().skip(from).take(TOGETHER));
    }

    #[inline(always)]
    fn ask<'a>(&self, pages: impl Iterator<Item = &'a PageIndex>) {
        pages.for_each(|page| self.slice.prefetch(*page));
    }

    /// Whether a visit is one store and nothing else.
    pub(super) fn only_stores(&self) -> bool {
        self.stamps.is_none() && self.filler.is_plain()
    }

    /// Visits all `pages`, where a visit is one store and nothing else.
    #[inline(always)]
    pub(super) fn store(&mut self, pages: &[PageIndex]) {
        let mut strokes = self.strokes.clone();
        for page in pages {
            self.slice.write(*page, strokes.draw());
        }
        self.strokes = strokes;
    }

    /// Whether a visit renews the page's stamp and does nothing else.
    pub(super) fn only_renews(&self) -> bool {
        self.stamps.is_some() && self.filler.is_plain()
    }

    /// Visits the page at `index` of a batch, where a visit renews its stamp and does nothing else.
    #[inline(always)]
    pub(super) fn renew(&mut self, pages: &[PageIndex], index: usize, now_ns: u64, control: &Control) {
        self.ask_ahead(pages, index);
        if let Some(stamps) = &mut self.stamps {
            stamps.renew(&mut self.slice, pages[index], now_ns, control);
        }
    }

    /// Visits the page at `index` of a batch.
    #[inline]
    pub(super) fn visit(&mut self, pages: &[PageIndex], index: usize, now_ns: u64, control: &Control) {
        if !self.filler.is_plain() {
            self.visit_at_length(pages, index, now_ns, control);
        } else if self.stamps.is_some() {
            self.renew(pages, index, now_ns, control);
        } else {
            self.ask_apart(pages, index);
            self.slice.write(pages[index], self.strokes.draw());
        }
    }

    /// A visit that does more, or less, than to write a stamp or a new first word.
    #[inline(never)]
    fn visit_at_length(&mut self, pages: &[PageIndex], index: usize, now_ns: u64, control: &Control) {
        self.ask_apart(pages, index);
        let (page, slice, filler) = (pages[index], &mut self.slice, &mut self.filler);
        let touch = filler.touch(page);
        match (&mut self.stamps, touch) {
            (Some(stamps), Touch::Keep(_)) => {
                stamps.check(slice, page, || now_ns);
                stamps.tally.kept();
            }
            (Some(stamps), _) => stamps.renew(slice, page, now_ns, control),
            (None, Touch::Copy) => slice.write(page, filler.next_copy(slice.read(page))),
            (None, Touch::Word(word)) => slice.write(page, word),
            (None, Touch::Fresh) => slice.write(page, self.strokes.draw()),
            (None, Touch::Keep(_) | Touch::Flip) => {}
        }
        match touch {
            Touch::Keep(words) => slice.keep(page, words),
            Touch::Flip => filler.flips(|word, bits| slice.flip(page, word, bits)),
            Touch::Copy | Touch::Word(_) | Touch::Fresh => {
                filler.stroke(page, |from, words| slice.put_at(page, from, words));
            }
        }
    }

    /// Loads the beginning of the page at `index` of a batch, and where it has a stamp, checks it. Only a corrupt page
    /// is written.
    #[inline]
    pub(super) fn read(&mut self, pages: &[PageIndex], index: usize, now_ns: u64) {
        let page = pages[index];
        self.ask_apart(pages, index);
        match &mut self.stamps {
            None => {
                self.slice.read(page);
            }
            Some(stamps) => stamps.check(&mut self.slice, page, || now_ns),
        }
    }

    /// Remembers in `written` (as long as the slice has pages) how often each page was written by now.
    pub(super) fn mark(&mut self, written: Box<[u16]>) {
        if let Some(stamps) = &mut self.stamps {
            stamps.mark(written);
        }
    }

    /// From now on there are so many visits a second; none for as many as there can be.
    pub(super) fn set_pace(&mut self, visits_per_s: Option<u64>) {
        if let Some(stamps) = &mut self.stamps {
            stamps.set_pace(visits_per_s);
        }
    }

    /// What is better done between two batches than during a visit.
    #[inline]
    pub(super) fn catch_up(&mut self) {
        if let Some(stamps) = &mut self.stamps {
            stamps.catch_up();
        }
    }

    /// Whether there was a mark, so that visits may have to wait for their pages.
    pub(super) fn is_marked(&self) -> bool {
        self.stamps.as_ref().is_some_and(|stamps| stamps.marked.is_some())
    }

    /// Loads the first word of `page`, where there was a mark, and tells of it if that took long. Returns how often the page was
    /// written since the mark, for [`Self::saturate`].
    ///
    /// A visit may be long for much else: an interrupt, another thread, a page of the program's own. Of the short time that a
    /// single load takes, next to nothing else falls into.
    #[inline(never)]
    pub(super) fn await_page<C: Clock>(&self, clock: &C, page: PageIndex) -> u16 {
        let Some(Stamps { ledger, tally, marked: Some(marked), .. }) = &self.stamps else { return 0 };
        let start_ns = clock.now_ns();
        self.slice.read(page);
        let len_ns = clock.now_ns().saturating_sub(start_ns);
        // After a mark nothing is noted: the ledger knows of each visit before this one.
        let earlier = ledger.written_since(page, marked);
        if len_ns >= STALL_NS {
            let earlier = u64::from(earlier);
            tally.long(&LongWait { page: ledger.position(page), earlier, start_ns, len_ns });
        }
        earlier
    }

    /// After a visit that found its page written so often since the mark: a count at its highest stays there.
    #[inline]
    pub(super) fn saturate(&mut self, page: PageIndex, earlier: u16) {
        if let Some(Stamps { ledger, marked: Some(marked), .. }) = &mut self.stamps {
            ledger.saturate(page, marked, earlier);
        }
    }

    /// From now on visits write what `filler` says.
    pub(super) fn set_filler(&mut self, filler: PageFiller) {
        self.filler = filler;
    }

    /// Looks at every page once more, as long as it is not over; returns how many it came to. A corrupt page is stamped
    /// anew. The last sweep of a run counts in the tally.
    pub(super) fn sweep<C: Clock>(&mut self, clock: &C, is_over: impl Fn() -> bool, last: bool) -> u64 {
        let Some(stamps) = &mut self.stamps else { return 0 };
        stamps.settle();
        let pages = self.slice.pages().0;
        for first in (0..pages).step_by(usize::try_from(SWEEP_STEP).unwrap_or(1)) {
            if is_over() {
                return first;
            }
            let end = pages.min(first + SWEEP_STEP);
            for page in (first..end).map(PageIndex) {
                // In order: the processor foresees it, and needs only to be told where a page begins.
                if page.0 + SWEEP_AHEAD < end {
                    self.slice.prefetch(PageIndex(page.0 + SWEEP_AHEAD));
                }
                stamps.check_told(&mut self.slice, page, || clock.now_ns());
            }
            if last {
                stamps.tally.swept(end - first);
            }
        }
        pages
    }
}
