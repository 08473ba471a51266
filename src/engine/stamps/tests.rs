//! Stale pages are found whether the ledger is told at once or later, once each, and no other.

use super::*;
use crate::{record::CorruptionCounts, region::Region, tally::Told, units::PageCount};
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;
use std::collections::BTreeMap;

/// A ledger of four pages, and visits that are slow enough to be noted.
const PAGES: PageCount = PageCount(8192);
const VISITS_PER_S: u64 = 2000;

struct Load {
    stamps: Stamps,
    slice: Slice,
    control: Control,
    now_ns: u64,
}

impl Load {
    fn new(visits_per_s: Option<u64>) -> Self {
        let (_, mut slices) = Region::map(PAGES, 1).unwrap();
        let mut slice = slices.remove(0);
        let ledger = Ledger::new(7, slice.first(), slice.pages());
        let mut stamps = Stamps::new(ledger, Arc::new(StampTally::new()));
        (0..PAGES.0).map(PageIndex).for_each(|page| slice.put(page, &stamps.ledger.filled(page)));
        stamps.set_pace(visits_per_s);
        assert_eq!(stamps.journal.is_open(), visits_per_s.is_some());
        Self { stamps, slice, control: Control::default(), now_ns: 1 }
    }

    fn visit(&mut self, page: u64, reads: bool) {
        self.now_ns += 1;
        let (page, now_ns) = (PageIndex(page), self.now_ns);
        if reads {
            self.stamps.check(&mut self.slice, page, || now_ns);
        } else {
            self.stamps.renew(&mut self.slice, page, now_ns, &self.control);
        }
        if now_ns.is_multiple_of(10) {
            self.stamps.catch_up();
        }
    }

    fn stamp(&self, page: u64) -> [u64; STAMP_WORDS] {
        self.slice.words(PageIndex(page))
    }

    /// Of all finds: their pages and what they are called; each page is found once.
    fn found(&mut self) -> BTreeMap<u64, CorruptionKind> {
        let mut found = BTreeMap::new();
        while let Some(told) = self.stamps.tally.take() {
            let Told::Corrupt(find) = told else { panic!("{told:?}") };
            assert_eq!(found.insert(find.page, find.kind), None, "{find:?}");
        }
        found
    }

    fn counts(&self) -> CorruptionCounts {
        self.stamps.tally.counts(u32::MAX).corruptions
    }
}

/// Visits for ten seconds of the rate, some of which only read, and an earlier stamp in a page's place now and then; the pages
/// that were made stale and then visited.
fn sabotaged(load: &mut Load, numbers: &mut SplitMix64) -> BTreeMap<u64, CorruptionKind> {
    let mut earlier: BTreeMap<u64, [u64; STAMP_WORDS]> = BTreeMap::new();
    let mut injected = BTreeMap::new();
    for _ in 0..10 * VISITS_PER_S {
        let page = numbers.next_u64() % 600 * 13;
        let written = Stamp::of(&load.stamp(page)).generation;
        match earlier.get(&page) {
            Some(words) if injected.len() < 200 && !injected.contains_key(&page) => {
                if Stamp::of(words).generation != written && numbers.next_u64().is_multiple_of(8) {
                    load.slice.put(PageIndex(page), words);
                    injected.insert(page, CorruptionKind::Stale);
                }
            }
            _ => {
                earlier.insert(page, load.stamp(page));
            }
        }
        load.visit(page, numbers.next_u64().is_multiple_of(4));
    }
    injected
}

#[test]
fn noted_or_told_at_once_every_stale_page_is_found_once_and_no_other() {
    for visits_per_s in [Some(VISITS_PER_S), None] {
        for seed in 0..20 {
            let mut load = Load::new(visits_per_s);
            let injected = sabotaged(&mut load, &mut SplitMix64::seed_from_u64(seed));
            load.stamps.settle();
            assert!(injected.len() > 100, "{}", injected.len());
            assert_eq!(load.found(), injected, "seed {seed}");
        }
    }
}

#[test]
fn a_stale_page_is_found_before_four_seconds_of_visits_are_over() {
    let mut load = Load::new(Some(VISITS_PER_S));
    (0..3 * PAGES.0).for_each(|number| load.visit(number % PAGES.0, false));
    for page in [0, 4000, 8191] {
        let before = load.stamp(page);
        load.visit(page, false);
        load.slice.put(PageIndex(page), &before);
        load.visit(page, false);
    }
    let early = load.counts().stale;
    (0..4 * VISITS_PER_S + 20).for_each(|number| load.visit(number % PAGES.0, false));
    assert!(early < 3, "found late is what this is about: {early}");
    assert_eq!(load.counts().stale, 3);
}

#[test]
fn what_is_no_stamp_of_its_page_and_what_is_older_than_the_ledger_is_found_at_once() {
    for reads in [true, false] {
        let mut load = Load::new(Some(VISITS_PER_S));
        let filled = load.stamp(3);
        (0..2 * PAGES.0).for_each(|number| load.visit(number % PAGES.0, false));
        let mut torn = load.stamp(2);
        torn[3] ^= 1;
        let wrong = [[0; STAMP_WORDS], load.stamp(8), torn, filled];
        wrong.iter().zip(0..).for_each(|(words, page)| load.slice.put(PageIndex(page), words));
        (0..4).for_each(|page| load.visit(page, reads));
        let kinds =
            [CorruptionKind::Zeroed, CorruptionKind::Foreign, CorruptionKind::Torn, CorruptionKind::Stale];
        assert_eq!(load.found(), (0..).zip(kinds).collect());
        (0..PAGES.0).for_each(|page| load.visit(page, reads));
        load.stamps.settle();
        assert_eq!(load.counts().sum(), 4, "each counts once");
    }
}

#[test]
fn a_ledger_that_went_back_is_told_of_as_unknown() {
    let mut load = Load::new(Some(VISITS_PER_S));
    let mut then = vec![0; 8192];
    load.stamps.ledger.copy_to(&mut then);
    (0..PAGES.0).for_each(|page| load.visit(page, false));
    load.stamps.settle();
    let back = Ledger::new(7, PageIndex(0), PAGES);
    load.stamps.ledger = back;
    (0..100).for_each(|page| load.visit(page, false));
    load.stamps.settle();
    assert_eq!((load.counts().unknown, load.counts().sum()), (100, 100));
}

#[test]
fn another_pace_settles_what_was_noted_at_the_one_before() {
    let mut load = Load::new(Some(VISITS_PER_S));
    (0..100).for_each(|page| load.visit(page, false));
    let before = load.stamp(5);
    load.visit(5, false);
    load.slice.put(PageIndex(5), &before);
    load.visit(5, true);
    load.stamps.set_pace(None);
    assert_eq!(load.found(), BTreeMap::from([(5, CorruptionKind::Stale)]));
    (0..100).for_each(|page| load.visit(page, true));
    assert_eq!(load.counts().sum(), 1);
}

#[test]
fn after_a_mark_the_ledger_is_told_at_once() {
    let mut load = Load::new(Some(VISITS_PER_S));
    (0..50).for_each(|page| load.visit(page, false));
    load.stamps.mark(vec![0; 8192].into());
    let marked = load.stamps.marked.as_ref().unwrap();
    assert!((0..8192).all(|page| marked[page] == u16::from(page < 50)), "what was noted is in it");
    for (page, pace_comes) in [(5, false), (6, true)] {
        if pace_comes {
            load.stamps.set_pace(Some(VISITS_PER_S));
        }
        let before = load.stamp(page);
        load.visit(page, false);
        load.slice.put(PageIndex(page), &before);
        load.visit(page, false);
        assert_eq!(load.found(), BTreeMap::from([(page, CorruptionKind::Stale)]));
    }
}
