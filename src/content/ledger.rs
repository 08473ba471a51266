//! What one writer remembers of its pages: how often each was written, so that a stale page is told from a current one.
//!
//! Two bytes a page, outside the region. A page whose stamp is up to 32 767 visits behind is stale; one that seems
//! ahead is `unknown`: then it is the ledger that was rolled back. The ledger is guest memory itself and migrates
//! like the region: a page lost alone is found, and so is a part of the ledger lost alone; a page and its part of the
//! ledger that go back to the same earlier moment together are not.

use super::{
    Note,
    stamp::{STAMP_WORDS, Stamp},
};
use crate::{
    record::CorruptionKind,
    units::{PageCount, PageIndex},
};

/// The visits of one writer's pages.
#[derive(Debug)]
pub struct Ledger {
    tag: u64,
    /// The position of the slice's first page in the whole region.
    first: u64,
    generations: Box<[u16]>,
}

/// What a visit found and what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StampCheck {
    /// Whether the page was visited in this epoch before; never for a corrupt one.
    pub again: bool,
    /// What was wrong with it.
    pub corrupt: Option<CorruptionKind>,
    /// Its new stamp.
    pub stamp: [u64; STAMP_WORDS],
}

impl Ledger {
    /// A ledger of pages that have only been filled, every part of it already touched.
    pub fn new(tag: u64, first: PageIndex, pages: PageCount) -> Self {
        let length = usize::try_from(pages.0).unwrap_or(usize::MAX);
        // Memory that is zero from the start may be the kernel's shared zero page until the first store.
        let mut generations = std::hint::black_box(vec![1; length]);
        generations.fill(0);
        Self { tag, first: first.0, generations: generations.into() }
    }

    /// The memory it takes, in bytes.
    pub const fn bytes(pages: PageCount) -> u64 {
        pages.0.saturating_mul(size_of::<u16>() as u64)
    }

    /// The pages it is of.
    pub fn pages(&self) -> PageCount {
        PageCount(self.generations.len() as u64)
    }

    /// The stamp of a page that was just filled.
    pub fn filled(&self, page: PageIndex) -> [u64; STAMP_WORDS] {
        self.stamp(page, 0, 0, 0)
    }

    /// The position of a page of the slice in the whole region.
    #[inline(always)]
    pub const fn position(&self, page: PageIndex) -> u64 {
        self.first + page.0
    }

    /// How often the page was written, modulo 65 536.
    #[inline(always)]
    pub fn generation(&self, page: PageIndex) -> u16 {
        self.generations[index(page)]
    }

    /// How often each page was written, to be held against later.
    ///
    /// # Panics
    /// When `into` is not as long as there are pages.
    pub fn copy_to(&self, into: &mut [u16]) {
        into.copy_from_slice(&self.generations);
    }

    /// How often the page was written since `then` was copied; at most 65 535, which stands for all that is more.
    pub fn written_since(&self, page: PageIndex, then: &[u16]) -> u16 {
        self.generation(page).wrapping_sub(then.get(index(page)).copied().unwrap_or(0))
    }

    /// To be told after each write that `then` is held against, with what had been written before it: where the count has come
    /// full circle, the page's entry is moved on, so that it stays the highest there is and never looks like none.
    #[inline]
    pub fn saturate(&self, page: PageIndex, then: &mut [u16], before: u16) {
        if before == u16::MAX
            && self.written_since(page, then) == 0
            && let Some(entry) = then.get_mut(index(page))
        {
            *entry = entry.wrapping_add(1);
        }
    }

    /// What a visit may note instead of telling it here at once: none of a page that is not sound even by what is known of it.
    /// The ledger may be behind, so a stamp that is ahead of it passes.
    pub fn note(&self, page: PageIndex, found: &[u64; STAMP_WORDS], wrote: bool) -> Option<Note> {
        let Stamp { generation, .. } = Stamp::of(found);
        let passes = self.is_ours(page, found) && !is_behind(generation, self.generation(page));
        (passes && Stamp::is_whole(found)).then_some(Note { page, generation, wrote })
    }

    /// The stamp that the visit leaves which this note is of.
    pub fn after(&self, note: &Note, epoch: u32, now_ns: u64) -> [u64; STAMP_WORDS] {
        self.stamp(note.page, note.generation.wrapping_add(1), epoch, now_ns)
    }

    /// The stamp that was found, as far as the note says.
    pub fn found(&self, note: &Note) -> [u64; STAMP_WORDS] {
        self.stamp(note.page, note.generation, 0, 0)
    }

    /// Is told of a visit that was noted. Notes of a page are to be told in order.
    ///
    /// # Errors
    /// When the page had not been as it was last written: what was wrong, and how often it had been written. From now on it
    /// counts as sound as that visit left it.
    pub fn settle(&mut self, note: &Note) -> Result<(), (CorruptionKind, u16)> {
        let known = &mut self.generations[index(note.page)];
        let expected = std::mem::replace(known, note.generation.wrapping_add(u16::from(note.wrote)));
        if note.generation == expected { Ok(()) } else { Err((unlike(note.generation, expected), expected)) }
    }

    /// A visit: checks the stamp that was found and makes the next one.
    #[inline(always)]
    pub fn visit(
        &mut self,
        page: PageIndex,
        found: &[u64; STAMP_WORDS],
        epoch: u32,
        now_ns: u64,
    ) -> StampCheck {
        let corrupt = self.check(page, found).err();
        let again = corrupt.is_none() && Stamp::of(found).epoch == epoch;
        let generation = &mut self.generations[index(page)];
        *generation = generation.wrapping_add(1);
        let generation = *generation;
        StampCheck { again, corrupt, stamp: self.stamp(page, generation, epoch, now_ns) }
    }

    /// Whether a page holds what was last written there.
    ///
    /// # Errors
    /// When it does not: what is wrong.
    #[inline(always)]
    pub fn check(&self, page: PageIndex, found: &[u64; STAMP_WORDS]) -> Result<(), CorruptionKind> {
        let is_current = Stamp::of(found).generation == self.generation(page);
        if self.is_ours(page, found) && is_current && Stamp::is_whole(found) {
            Ok(())
        } else {
            Err(self.diagnose(page, found))
        }
    }

    #[cold]
    fn diagnose(&self, page: PageIndex, found: &[u64; STAMP_WORDS]) -> CorruptionKind {
        if found == &[0; STAMP_WORDS] {
            return CorruptionKind::Zeroed;
        }
        if !Stamp::is_whole(found) {
            return CorruptionKind::Torn;
        }
        if !self.is_ours(page, found) {
            return CorruptionKind::Foreign;
        }
        unlike(Stamp::of(found).generation, self.generation(page))
    }

    #[inline(always)]
    fn is_ours(&self, page: PageIndex, found: &[u64; STAMP_WORDS]) -> bool {
        let stamp = Stamp::of(found);
        stamp.page == self.position(page) && stamp.tag == self.tag
    }

    #[inline(always)]
    fn stamp(&self, page: PageIndex, generation: u16, epoch: u32, visited_ns: u64) -> [u64; STAMP_WORDS] {
        Stamp { page: self.position(page), generation, epoch, tag: self.tag, visited_ns }.words()
    }
}

/// What a page is whose stamp says another generation than is expected.
const fn unlike(generation: u16, expected: u16) -> CorruptionKind {
    if is_behind(generation, expected) { CorruptionKind::Stale } else { CorruptionKind::Unknown }
}

/// Whether a generation is an earlier one than `than`, by less than half of all there are.
const fn is_behind(generation: u16, than: u16) -> bool {
    let behind = than.wrapping_sub(generation);
    behind != 0 && behind < 1 << 15
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a page of a slice, of which there is one entry each in memory"
)]
#[inline(always)]
const fn index(page: PageIndex) -> usize {
    page.0 as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: PageIndex = PageIndex(100);

    fn ledger() -> Ledger {
        Ledger::new(7, FIRST, PageCount(8))
    }

    #[test]
    fn a_page_that_holds_what_was_written_is_met_without_a_word() {
        let mut ledger = ledger();
        let mut stamp = ledger.filled(PageIndex(3));
        for (visit, epoch) in [1, 1, 2, 3, 3].into_iter().enumerate() {
            let before = Stamp::of(&stamp).epoch;
            let checked = ledger.visit(PageIndex(3), &stamp, epoch, 50);
            assert_eq!((checked.corrupt, checked.again), (None, before == epoch));
            stamp = checked.stamp;
            assert_eq!((Stamp::of(&stamp).page, usize::from(Stamp::of(&stamp).generation)), (103, visit + 1));
        }
    }

    #[test]
    fn a_corrupt_page_is_told_once_and_then_holds_a_good_stamp_again() {
        let mut ledger = ledger();
        let checked = ledger.visit(PageIndex(0), &[0; STAMP_WORDS], 1, 5);
        assert_eq!((checked.corrupt, checked.again), (Some(CorruptionKind::Zeroed), false));
        assert_eq!(ledger.check(PageIndex(0), &checked.stamp), Ok(()));
    }

    #[test]
    fn a_page_that_is_written_over_and_over_is_never_taken_for_one_that_was_not() {
        let (mut ledger, page) = (ledger(), PageIndex(2));
        let mut stamp = ledger.filled(page);
        for _ in 0..7 {
            stamp = ledger.visit(page, &stamp, 1, 5).stamp;
        }
        let mut then = vec![0; 8];
        ledger.copy_to(&mut then);
        for writes in 0..200_000u32 {
            let before = ledger.written_since(page, &then);
            assert_eq!(u32::from(before), writes.min(65_535));
            // A visit that only reads, or stores what was there, moves nothing on.
            ledger.saturate(page, &mut then, before);
            assert_eq!(ledger.written_since(page, &then), before);
            stamp = ledger.visit(page, &stamp, 1, 5).stamp;
            ledger.saturate(page, &mut then, before);
        }
        assert_eq!(ledger.written_since(PageIndex(3), &then), 0);
    }

    proptest! {
        #[test]
        fn every_fault_is_named_rightly(
            visits in 1u32..200_000, behind in 1u16..0x8000, page in 0u64..8, bit in 0usize..STAMP_WORDS * 64
        ) {
            let mut ledger = ledger();
            let page = PageIndex(page);
            #[expect(clippy::cast_possible_truncation, reason = "generations wrap")]
            let generation = visits as u16;
            ledger.generations[index(page)] = generation;
            let good = ledger.stamp(page, generation, 9, 1234);
            prop_assert_eq!(ledger.check(page, &good), Ok(()));
            let stale = ledger.stamp(page, generation.wrapping_sub(behind), 9, 1234);
            prop_assert_eq!(ledger.check(page, &stale), Err(CorruptionKind::Stale));
            let ahead = ledger.stamp(page, generation.wrapping_add(behind), 9, 1234);
            prop_assert_eq!(ledger.check(page, &ahead), Err(CorruptionKind::Unknown));
            let neighbour = ledger.stamp(PageIndex((page.0 + 1) % 8), generation, 9, 1234);
            prop_assert_eq!(ledger.check(page, &neighbour), Err(CorruptionKind::Foreign));
            let stranger = Ledger { tag: 8, ..self::ledger() }.stamp(page, generation, 9, 1234);
            prop_assert_eq!(ledger.check(page, &stranger), Err(CorruptionKind::Foreign));
            let mut torn = good;
            torn[bit / 64] ^= 1 << (bit % 64);
            prop_assert_eq!(ledger.check(page, &torn), Err(CorruptionKind::Torn));
        }
    }
}
