//! What one writer found in its pages' stamps: pages met again, corrupt pages, pages swept, and visits that took too long.

use super::{Ring, epochs::Epochs};
use crate::record::{CorruptionCounts, CorruptionKind};
use std::sync::atomic::{AtomicU64, Ordering};

const STAMP_WORDS: usize = 5;

/// Cumulative counts of one writer, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct StampTally {
    visits: Epochs,
    kept: AtomicU64,
    corrupt: [AtomicU64; CorruptionKind::ALL.len()],
    swept: AtomicU64,
    ring: Ring,
}

/// A corrupt page as the writer saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Find {
    /// Its position in the whole region.
    pub page: u64,
    /// What is wrong.
    pub kind: CorruptionKind,
    /// How often it had been written, modulo 65 536.
    pub generation: u16,
    /// The words of the stamp that was found.
    pub found: [u64; STAMP_WORDS],
}

/// A visit that waited too long for its page, as the writer found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongWait {
    /// Its page's position in the whole region.
    pub page: u64,
    /// How often the page had been written since the last mark, before this visit.
    pub earlier: u64,
    /// When the wait began.
    pub start_ns: u64,
    /// How long it took.
    pub len_ns: u64,
}

/// What a writer tells of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It was corrupt.
    Corrupt(Find),
    /// Its visit waited too long for it.
    Long(LongWait),
}

/// Stands in the place of a corruption's kind.
const LONG: u64 = u64::MAX;

/// What writers had counted at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StampCounts {
    /// Visits that wrote a page for the first time in their epoch.
    pub firsts: u64,
    /// Visits that wrote a page which had been written in the same epoch before.
    pub repeats: u64,
    /// Visits that left the stamp as it was: whether they were repeats, nobody knows.
    pub kept: u64,
    /// Corrupt pages.
    pub corruptions: CorruptionCounts,
    /// Pages that the final sweep looked at.
    pub swept: u64,
}

impl StampCounts {
    /// All visits that write.
    pub const fn writes(&self) -> u64 {
        self.firsts.saturating_add(self.repeats).saturating_add(self.kept)
    }

    /// Adds what another writer counted.
    pub fn add(&mut self, other: &Self) {
        self.firsts = self.firsts.saturating_add(other.firsts);
        self.repeats = self.repeats.saturating_add(other.repeats);
        self.kept = self.kept.saturating_add(other.kept);
        self.swept = self.swept.saturating_add(other.swept);
        for kind in CorruptionKind::ALL {
            let count = *{ other.corruptions }.of(kind);
            *self.corruptions.of(kind) += count;
        }
    }
}

impl StampTally {
    /// Empty counts.
    pub fn new() -> Self {
        Self {
            visits: Epochs::default(),
            kept: AtomicU64::new(0),
            corrupt: std::array::from_fn(|_| AtomicU64::new(0)),
            swept: AtomicU64::new(0),
            ring: Ring::new(),
        }
    }

    /// The memory they take, in bytes.
    pub const fn bytes() -> usize {
        size_of::<Self>() + Ring::BYTES
    }

    /// A page was written in `epoch`, `again` or for the first time in it. Only the writer itself calls this.
    #[inline(always)]
    pub fn visited(&self, epoch: u32, again: bool) {
        self.visits.visited(epoch, again);
    }

    /// A page was written whose stamp stayed as it was. Only the writer itself calls this.
    pub fn kept(&self) {
        super::add(&self.kept, 1);
    }

    /// So many more pages were swept. Only the writer itself calls this.
    pub fn swept(&self, pages: u64) {
        super::add(&self.swept, pages);
    }

    /// Counts a corrupt page and hands it to the reader. Only the writer itself calls this.
    #[cold]
    pub fn corrupt(&self, find: &Find) {
        super::add(&self.corrupt[find.kind as usize], 1);
        let mut words = [find.page, find.kind as u64, u64::from(find.generation), 0, 0, 0, 0, 0];
        words[3..].copy_from_slice(&find.found);
        self.ring.push(words);
    }

    /// Hands a visit that waited too long to the reader. Only the writer itself calls this.
    #[cold]
    pub fn long(&self, wait: &LongWait) {
        let LongWait { page, earlier, start_ns, len_ns } = *wait;
        self.ring.push([page, LONG, earlier, start_ns, len_ns, 0, 0, 0]);
    }

    /// The oldest that was not taken yet. Only one thread may take.
    pub fn take(&self) -> Option<Told> {
        let [page, kind, generation, found @ ..] = self.ring.pop()?;
        if kind == LONG {
            let [start_ns, len_ns, ..] = found;
            return Some(Told::Long(LongWait { page, earlier: generation, start_ns, len_ns }));
        }
        let kind = CorruptionKind::ALL.into_iter().find(|known| *known as u64 == kind);
        let generation = u16::try_from(generation).unwrap_or(u16::MAX);
        Some(Told::Corrupt(Find { page, kind: kind.unwrap_or(CorruptionKind::Unknown), generation, found }))
    }

    /// Corrupt pages so far.
    pub fn corrupt_pages(&self) -> u64 {
        self.corrupt.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The counts at the beginning of `epoch`, which the reader has just begun, as far as visits go; of all else those now.
    pub fn counts(&self, epoch: u32) -> StampCounts {
        let (firsts, repeats) = self.visits.before(epoch);
        let mut corruptions = CorruptionCounts::default();
        for kind in CorruptionKind::ALL {
            *corruptions.of(kind) = self.corrupt[kind as usize].load(Ordering::Relaxed);
        }
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        StampCounts { firsts, repeats, kept: load(&self.kept), corruptions, swept: load(&self.swept) }
    }
}

impl Default for StampTally {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::RING_RECORDS;

    fn find(kind: CorruptionKind) -> Find {
        Find { page: 1 << 40, kind, generation: 0xfedc, found: [1, 2, 3, 4, u64::MAX] }
    }

    #[test]
    fn a_find_reaches_the_reader_as_it_was() {
        let tally = StampTally::new();
        for kind in CorruptionKind::ALL {
            tally.corrupt(&find(kind));
            assert_eq!(tally.take(), Some(Told::Corrupt(find(kind))));
        }
        let wait = LongWait { page: 7, earlier: 1, start_ns: 5, len_ns: u64::MAX };
        tally.long(&wait);
        assert_eq!(tally.take(), Some(Told::Long(wait)));
        assert_eq!((tally.take(), tally.counts(1).corruptions.sum()), (None, 5));
    }

    #[test]
    fn every_find_counts_even_when_its_record_finds_no_room() {
        let tally = StampTally::new();
        (0..RING_RECORDS + 7).for_each(|_| tally.corrupt(&find(CorruptionKind::Torn)));
        let mut sum = tally.counts(1);
        sum.add(&tally.counts(1));
        assert_eq!(sum.corruptions.torn, 2 * (RING_RECORDS as u64 + 7));
        assert_eq!(std::iter::from_fn(|| tally.take()).count(), RING_RECORDS);
    }

    #[test]
    fn visits_are_counted_by_whether_their_page_was_met_in_their_epoch_before() {
        let tally = StampTally::new();
        for again in [false, true, false, true, true] {
            tally.visited(1, again);
        }
        let counts = tally.counts(2);
        assert_eq!((counts.firsts, counts.repeats, counts.writes()), (2, 3, 5));
    }

    #[test]
    fn a_reader_that_comes_late_gets_what_was_when_the_epoch_began() {
        let tally = StampTally::new();
        // Four pages, three laps an epoch; the reader is kept from reading for a lap and a half of the next one.
        let lap = |epoch, again| (0..4).for_each(|_| tally.visited(epoch, again));
        let mut before = StampCounts::default();
        for epoch in 1..50 {
            lap(epoch, false);
            lap(epoch, true);
            lap(epoch, true);
            lap(epoch + 1, false);
            tally.visited(epoch + 1, true);
            let now = tally.counts(epoch + 1);
            let (firsts, repeats) = (now.firsts - before.firsts, now.repeats - before.repeats);
            assert_eq!((firsts, repeats), if epoch == 1 { (4, 8) } else { (8, 9) }, "epoch {epoch}");
            before = now;
        }
    }

    #[test]
    fn a_writer_that_does_not_get_on_holds_nobody_up() {
        let tally = StampTally::new();
        tally.visited(1, false);
        for epoch in 2..9 {
            assert_eq!(tally.counts(epoch).firsts, 1);
        }
        tally.visited(5, false);
        assert_eq!(tally.counts(9).firsts, 2, "a visit under way counts when it ends");
        tally.visited(9, false);
        assert_eq!((tally.counts(9).firsts, tally.counts(10).firsts), (2, 3));
    }
}
