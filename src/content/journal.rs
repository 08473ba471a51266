//! Visits that the ledger has not been told of yet.
//!
//! Visits that scatter over a large region scatter over its ledger as well: at 25 600 a second each tenth of a second dirties
//! all of the ledger, which is memory that a migration has to send. So a writer that is slow enough notes what its visits
//! found, one note behind the other, and tells the ledger later, one part of it at a time: notes fill few pages, and so
//! does a part. What a note found wrong is then known at its part's turn, at the latest [`DELAY_S`] seconds of visits later.
//!
//! **Turns.** After every so many notes it is the next part's turn. All its notes of the last round are settled then, in order: those
//! before were settled at its turn before. A journal of notes for a round, and for the one batch that a turn may be late, is
//! never too short. Settling everything at once ends the round; the next begins with the first part.
//!
//! Notes are guest memory and migrate like the region and the ledger. Each names the lap that wrote it: one from a lap before
//! was lost together with its page, and nothing is settled by it. What it should have told then seems to be ahead of the ledger.

use crate::units::{PAGE_BYTES, PageCount, PageIndex};

/// For how many seconds of visits the ledger may be behind.
const DELAY_S: u64 = 4;
/// The most notes at a time. The ledger must not be behind by 32 768 visits of one page: those would seem to be ahead.
const MOST_NOTES: u64 = 1 << 15;
/// Notes take at most twice the memory of the ledger: there is one for so many pages.
const PAGES_A_NOTE: u64 = 2;
/// The turns of a round. More of them would only have notes looked at more often.
const PARTS: u64 = 8;
/// Intervals in which a host counts what was dirtied, a second.
const INTERVALS_PER_S: u64 = 10;
/// The bits of a note that say in which lap it was written.
const LAPS: u64 = 1 << 15;

/// What one visit found, and whether it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// The page's position in the slice.
    pub page: PageIndex,
    /// How often the page had been written, as its stamp said.
    pub generation: u16,
    /// Whether the visit wrote the page.
    pub wrote: bool,
}

/// Notes of one writer.
#[derive(Debug)]
pub struct Journal {
    notes: Box<[u64]>,
    pages: PageCount,
    /// Notes written so far.
    noted: u64,
    /// Notes written when everything was settled last.
    begun: u64,
    /// Turns taken since.
    turns: u64,
    /// None: nothing is noted, the ledger is told at once.
    rounds: Option<Rounds>,
}

/// How rounds are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rounds {
    /// Notes from turn to turn.
    every: u64,
    /// The pages of one part.
    part_pages: u64,
}

impl Rounds {
    /// Where notes dirty less than half of what the visits would dirty of the ledger. That is never so where a page's position
    /// does not fit a note: such a ledger has more pages than there are notes.
    fn worth_it(visits_per_s: u64, pages: PageCount) -> Option<Self> {
        let room = room(pages).saturating_sub(Journal::LATE);
        let every = (visits_per_s.saturating_mul(DELAY_S) / PARTS).min(room / (PARTS + 1));
        if every == 0 || pages.0 > u64::from(u32::MAX) {
            return None;
        }
        let visits = visits_per_s / INTERVALS_PER_S;
        let ledger_bytes = pages.0 * size_of::<u16>() as u64;
        let told_bytes = visits.saturating_mul(ledger_bytes) / (every * PARTS);
        let noted_bytes = visits.saturating_mul(size_of::<u64>() as u64);
        let at_once_bytes = ledger_bytes.min(visits.saturating_mul(PAGE_BYTES));
        let is_less = told_bytes.saturating_add(noted_bytes) < at_once_bytes / 2;
        is_less.then(|| Self { every, part_pages: pages.0.div_ceil(PARTS) })
    }

    const fn part_of(&self, page: PageIndex) -> u64 {
        page.0 / self.part_pages
    }
}

impl Journal {
    /// The most visits between two looks whether it is a turn.
    pub const LATE: u64 = 256;

    /// The memory that one for so many pages takes, in bytes.
    pub const fn bytes(pages: PageCount) -> u64 {
        room(pages) * size_of::<u64>() as u64
    }

    /// For so many pages, in which nothing is to be noted, every page of it already touched.
    pub fn closed(pages: PageCount) -> Self {
        // Memory that is zero from the start may be the kernel's shared zero page until the first store.
        let mut notes = std::hint::black_box(vec![u64::MAX; usize::try_from(room(pages)).unwrap_or(0)]);
        notes.fill(0);
        Self { notes: notes.into(), pages, noted: 0, begun: 0, turns: 0, rounds: None }
    }

    /// From now on so many visits a second are noted, where that is worth it; none for as many as there can be. To be settled
    /// before.
    pub fn open(&mut self, visits_per_s: Option<u64>) {
        self.rounds = visits_per_s.and_then(|visits_per_s| Rounds::worth_it(visits_per_s, self.pages));
    }

    /// Whether visits are to be noted.
    #[inline(always)]
    pub const fn is_open(&self) -> bool {
        self.rounds.is_some()
    }

    /// Whether there is no room for another note, because turns were not taken.
    pub const fn is_full(&self) -> bool {
        self.noted - self.oldest() >= self.notes.len() as u64
    }

    /// Notes a visit. There must be room.
    pub fn note(&mut self, note: Note) {
        let (place, lap) = self.place(self.noted);
        let written = u64::from(note.wrote) << 63 | lap << 48 | u64::from(note.generation) << 32;
        self.notes[place] = written | note.page.0 & u64::from(u32::MAX);
        self.noted += 1;
    }

    /// Tells the notes of the part whose turn it is, in order, and that it was one.
    pub fn take_turn(&mut self, mut told: impl FnMut(Note)) -> bool {
        let Some(rounds) = self.rounds.filter(|rounds| self.noted >= self.turn_at(rounds, self.turns)) else {
            return false;
        };
        let first = self.turns % PARTS * rounds.part_pages;
        for index in self.oldest()..self.turn_at(&rounds, self.turns) {
            // Nearly all are of other parts: the page alone says so.
            let written = self.notes[self.place(index).0];
            if (written & u64::from(u32::MAX)).wrapping_sub(first) < rounds.part_pages
                && let Some(note) = self.read(index)
            {
                told(note);
            }
        }
        self.turns += 1;
        true
    }

    /// Tells all notes that no turn has told, in order.
    pub fn settle(&mut self, mut told: impl FnMut(Note)) {
        if let Some(rounds) = self.rounds {
            for index in self.oldest()..self.noted {
                if let Some(note) = self.read(index)
                    && index >= self.settled_until(&rounds, rounds.part_of(note.page))
                {
                    told(note);
                }
            }
        }
        (self.begun, self.turns) = (self.noted, 0);
    }

    /// How many notes make it the turn of this number, from 0, since everything was settled.
    const fn turn_at(&self, rounds: &Rounds, turn: u64) -> u64 {
        self.begun + (turn + 1) * rounds.every
    }

    /// The first note that may not be settled: a round before the next turn's last.
    const fn oldest(&self) -> u64 {
        match &self.rounds {
            Some(rounds) if self.turns >= PARTS => self.turn_at(rounds, self.turns - PARTS),
            _ => self.begun,
        }
    }

    /// The first note that the last turn of this part did not settle.
    const fn settled_until(&self, rounds: &Rounds, part: u64) -> u64 {
        if self.turns <= part {
            return self.begun;
        }
        let last = (self.turns - 1 - part) / PARTS * PARTS + part;
        self.turn_at(rounds, last)
    }

    /// Where a note stands, and in which lap it is written.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "less than the number of notes")]
    const fn place(&self, index: u64) -> (usize, u64) {
        let bits = self.notes.len().trailing_zeros();
        (index as usize & (self.notes.len() - 1), index >> bits & (LAPS - 1))
    }

    /// None where what stands there was written in another lap.
    fn read(&self, index: u64) -> Option<Note> {
        let (place, lap) = self.place(index);
        let written = self.notes[place];
        (written >> 48 & (LAPS - 1) == lap).then(|| unpack(written))
    }
}

/// How many notes there are room for: a power of two, or none.
const fn room(pages: PageCount) -> u64 {
    match (pages.0 / PAGES_A_NOTE).checked_ilog2() {
        Some(bits) if 1 << bits < MOST_NOTES => 1 << bits,
        Some(_) => MOST_NOTES,
        None => 0,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the parts of a word")]
const fn unpack(written: u64) -> Note {
    Note {
        page: PageIndex(written & u32::MAX as u64),
        generation: (written >> 32) as u16,
        wrote: written >> 63 == 1,
    }
}

#[cfg(test)]
mod tests;
