//! Stamps of one writer's pages: checked and renewed by visits, and held against the ledger, at once or later.

use super::control::Control;
use crate::{
    content::{Journal, Ledger, Note, STAMP_WORDS, Stamp},
    pace::BATCH,
    record::CorruptionKind,
    region::Slice,
    tally::{Find, StampTally},
    units::PageIndex,
};
use std::sync::Arc;

// It is looked after each batch whether it is a turn.
const _: () = assert!(BATCH as u64 <= Journal::LATE);

/// What a writer of stamped pages keeps.
#[derive(Debug)]
pub(super) struct Stamps {
    pub(super) ledger: Ledger,
    journal: Journal,
    pub(super) tally: Arc<StampTally>,
    /// How often each page had been written at the last mark, or later where that is more than can be told of; none before the
    /// first.
    pub(super) marked: Option<Box<[u16]>>,
}

impl Stamps {
    /// Stamps that know of no mark, and tell the ledger of each visit at once.
    pub(super) fn new(ledger: Ledger, tally: Arc<StampTally>) -> Self {
        let journal = Journal::closed(ledger.pages());
        Self { ledger, journal, tally, marked: None }
    }

    /// Checks the stamp of `page`, where a visit finds it, and puts the next one in its place.
    #[inline(always)]
    pub(super) fn renew(&mut self, slice: &mut Slice, page: PageIndex, now_ns: u64, control: &Control) {
        if self.journal.is_open() {
            self.renew_noted(slice, page, now_ns, control);
        } else {
            self.renew_told(slice, page, now_ns, control);
        }
    }

    #[inline(always)]
    fn renew_told(&mut self, slice: &mut Slice, page: PageIndex, now_ns: u64, control: &Control) {
        let found = slice.words(page);
        let epoch = control.epoch();
        let checked = self.ledger.visit(page, &found, epoch, now_ns);
        slice.put(page, &checked.stamp);
        self.tally.visited(epoch, checked.again);
        if let Some(kind) = checked.corrupt {
            let generation = self.ledger.generation(page).wrapping_sub(1);
            self.report(page, kind, found, generation);
        }
    }

    #[inline(never)]
    fn renew_noted(&mut self, slice: &mut Slice, page: PageIndex, now_ns: u64, control: &Control) {
        let found = slice.words(page);
        let Some(note) = self.ledger.note(page, &found, true) else {
            self.settle();
            return self.renew_told(slice, page, now_ns, control);
        };
        let epoch = control.epoch();
        slice.put(page, &self.ledger.after(&note, epoch, now_ns));
        self.tally.visited(epoch, Stamp::of(&found).epoch == epoch);
        self.note(note);
    }

    /// Checks the stamp of `page` and leaves it there, unless it is corrupt.
    #[inline]
    pub(super) fn check(&mut self, slice: &mut Slice, page: PageIndex, now_ns: impl FnOnce() -> u64) {
        if self.journal.is_open() {
            let found = slice.words(page);
            match self.ledger.note(page, &found, false) {
                Some(note) => return self.note(note),
                None => self.settle(),
            }
        }
        self.check_told(slice, page, now_ns);
    }

    /// The same where everything is settled.
    #[inline(always)]
    pub(super) fn check_told(&mut self, slice: &mut Slice, page: PageIndex, now_ns: impl FnOnce() -> u64) {
        let found = slice.words(page);
        if let Err(kind) = self.ledger.check(page, &found) {
            self.mend(slice, page, (kind, found), now_ns());
        }
    }

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
        let Self { ledger, marked, .. } = self;
        let before = marked.as_ref().map_or(0, |marked| ledger.written_since(page, marked));
        let checked = ledger.visit(page, &found, 0, now_ns);
        if let Some(marked) = marked {
            ledger.saturate(page, marked, before);
        }
        slice.put(page, &checked.stamp);
    }

    #[cold]
    fn report(&self, page: PageIndex, kind: CorruptionKind, found: [u64; STAMP_WORDS], generation: u16) {
        let page = self.ledger.position(page);
        self.tally.corrupt(&Find { page, kind, generation, found });
    }

    #[inline]
    fn note(&mut self, note: Note) {
        if self.journal.is_full() {
            self.settle();
        }
        self.journal.note(note);
    }

    /// Where the ledger may have to be fetched first, as in post-copy, it is fetched here: else a visit would wait for it, and
    /// that would be told of the visit's page.
    #[inline]
    pub(super) fn fetch_ledger(&self, pages: &[PageIndex]) {
        if self.marked.is_some() {
            for page in pages {
                std::hint::black_box(self.ledger.generation(*page));
            }
        }
    }

    /// Tells the ledger what is noted, as far as it is time for that.
    #[inline]
    pub(super) fn catch_up(&mut self) {
        if self.journal.is_open() {
            let Self { ledger, journal, tally, .. } = self;
            while journal.take_turn(|note| tell(ledger, tally, &note)) {}
        }
    }

    /// Tells the ledger all that is noted.
    #[cold]
    pub(super) fn settle(&mut self) {
        let Self { ledger, journal, tally, .. } = self;
        journal.settle(|note| tell(ledger, tally, &note));
    }

    /// From now on there are so many visits a second; none for as many as there can be. After a mark nothing is noted: a
    /// switch to post-copy follows it, and a writer that tells the ledger would wait for all the notes' pages at once.
    pub(super) fn set_pace(&mut self, visits_per_s: Option<u64>) {
        self.settle();
        self.journal.open(visits_per_s.filter(|_| self.marked.is_none()));
    }

    /// Remembers in `written` (as long as there are pages) how often each page was written by now.
    pub(super) fn mark(&mut self, mut written: Box<[u16]>) {
        self.settle();
        self.journal.open(None);
        self.ledger.copy_to(&mut written);
        self.marked = Some(written);
    }
}

/// Tells the ledger of a visit, and reports what that was wrong about. When the page had been visited is no longer known.
#[inline]
fn tell(ledger: &mut Ledger, tally: &StampTally, note: &Note) {
    if let Err((kind, expected)) = ledger.settle(note) {
        let page = ledger.position(note.page);
        tally.corrupt(&Find { page, kind, generation: expected, found: ledger.found(note) });
    }
}

#[cfg(test)]
mod tests;
