//! Notes in any order, number and lateness are each told once; those that were lost are not.

use super::*;
use proptest::prelude::*;

/// Pages for which a journal has the most notes.
const PAGES: PageCount = PageCount(MOST_NOTES * 4);

fn journal(every: u64, part_pages: u64) -> Journal {
    Journal { rounds: Some(Rounds { every, part_pages }), ..Journal::closed(PAGES) }
}

fn note(number: u64, page: u64) -> Note {
    let generation = u16::try_from(number % 65_536).unwrap();
    Note { page: PageIndex(page), generation, wrote: number.is_multiple_of(3) }
}

/// Notes so many visits, a turn after each batch as soon as it is one, and settles; what was told, by page.
fn told(journal: &mut Journal, pages: &[u64], batches: &[usize]) -> Vec<Vec<Note>> {
    let mut told = vec![Vec::new(); 64];
    let mut tell = |note: Note| told[usize::try_from(note.page.0).unwrap()].push(note);
    let (mut left, mut numbers, mut batches) = (pages, 0.., batches.iter().cycle());
    while !left.is_empty() {
        let (batch, rest) = left.split_at(left.len().min(*batches.next().unwrap()));
        for (page, number) in batch.iter().zip(&mut numbers) {
            assert!(!journal.is_full());
            journal.note(note(number, *page));
        }
        while journal.take_turn(&mut tell) {}
        left = rest;
    }
    journal.settle(&mut tell);
    journal.settle(|note| panic!("{note:?} was told twice"));
    told
}

fn noted(pages: &[u64]) -> Vec<Vec<Note>> {
    let mut noted = vec![Vec::new(); 64];
    for (page, number) in pages.iter().zip(0..) {
        noted[usize::try_from(*page).unwrap()].push(note(number, *page));
    }
    noted
}

proptest! {
    #[test]
    fn every_note_is_told_once_and_those_of_a_page_in_order(
        pages in prop::collection::vec(0u64..64, 0..2000), every in 1u64..100, part_pages in 8u64..12,
        batches in prop::collection::vec(1usize..=256, 1..5)
    ) {
        let mut journal = journal(every, part_pages);
        prop_assert_eq!(told(&mut journal, &pages, &batches), noted(&pages));
        prop_assert_eq!(told(&mut journal, &pages, &batches), noted(&pages), "and again after all was settled");
    }
}

#[test]
fn the_longest_round_and_the_latest_turn_leave_no_note_untold() {
    let pages: Vec<u64> = (0..200_000u64).map(|number| number.wrapping_mul(0x9e37_79b9) >> 7 & 63).collect();
    let every = Rounds::worth_it(70_000, PAGES).unwrap().every;
    assert_eq!(every, (MOST_NOTES - Journal::LATE) / (PARTS + 1));
    let mut journal = journal(every, 8);
    assert_eq!(told(&mut journal, &pages, &[256, 255, 1]), noted(&pages));
}

#[test]
fn a_journal_whose_turns_nobody_takes_says_that_it_is_full() {
    let mut journal = journal(10, 8);
    (0..MOST_NOTES).for_each(|number| {
        assert!(!journal.is_full());
        journal.note(note(number, number % 64));
    });
    assert!(journal.is_full());
    let mut told = 0;
    journal.settle(|_| told += 1);
    assert_eq!((told, journal.is_full()), (MOST_NOTES, false));
}

#[test]
fn notes_of_a_lap_before_are_not_told() {
    let mut journal = journal(1000, 8);
    let mut write = |number| journal.note(note(number, number % 64));
    (0..MOST_NOTES / 2).for_each(&mut write);
    journal.settle(|_| {});
    let lost = journal.notes[..512].to_vec();
    (MOST_NOTES / 2..MOST_NOTES + 600).for_each(|number| {
        if journal.is_full() {
            journal.settle(|_| {});
        }
        journal.note(note(number, number % 64));
    });
    journal.notes[..512].copy_from_slice(&lost);
    let mut generations = Vec::new();
    journal.settle(|note| generations.push(u64::from(note.generation)));
    let (kept, first) = (generations.len(), generations.iter().find(|number| **number >= MOST_NOTES));
    assert_eq!((kept as u64, first), (MOST_NOTES / 2 + 600 - 512, Some(&(MOST_NOTES + 512))));
}

#[test]
fn visits_are_noted_where_that_halves_what_they_dirty_of_the_ledger() {
    let is_noted = |visits_per_s, mib: u64| Rounds::worth_it(visits_per_s, PageCount(mib << 8)).is_some();
    for (visits_per_s, mib) in [(25_600, 1024), (25_600, 512), (12_800, 256), (1000, 512), (70_000, 4096)] {
        assert!(is_noted(visits_per_s, mib), "{visits_per_s} visits/s over {mib} MiB");
    }
    for (visits_per_s, mib) in
        [(0, 512), (1, 512), (20, 1024), (25_600, 16), (1_000_000, 1024), (13_000_000, 512)]
    {
        assert!(!is_noted(visits_per_s, mib), "{visits_per_s} visits/s over {mib} MiB");
    }
    for pages in [1 << 27, u64::from(u32::MAX) + 1, u64::MAX] {
        assert!((0..100_000).all(|visits_per_s| Rounds::worth_it(visits_per_s, PageCount(pages)).is_none()));
    }
}

proptest! {
    #[test]
    fn the_ledger_is_at_most_four_seconds_of_visits_behind(
        visits_per_s in prop_oneof![any::<u64>(), 1u64..100_000], pages in 1u64..1 << 32) {
        if let Some(rounds) = Rounds::worth_it(visits_per_s, PageCount(pages)) {
            prop_assert!(rounds.every * PARTS <= visits_per_s.saturating_mul(DELAY_S));
            prop_assert!(rounds.every * (PARTS + 1) + Journal::LATE <= room(PageCount(pages)) && rounds.part_pages * PARTS >= pages);
        }
    }
}
