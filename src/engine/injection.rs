//! Faults put into the memory of a running load, of every kind, at random places and times: each must be found, rightly
//! named, and nothing else. The kernel writes them (/proc/self/mem), behind the writers' backs.

use super::{Engine, Snapshot};
use crate::{
    clock::{Clock, Monotonic},
    content::{STAMP_WORDS, Stamp},
    plan::{self, Checked, ContentSpec, MemoryAmount, PatternSpec, Plan},
    probe,
    record::{Corruption, CorruptionKind, EndReason},
    units::ByteSize,
};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;
use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt};

const PAGES: u64 = 2048;

fn checked(pattern: PatternSpec, write_bytes: u64) -> Checked {
    sized(8, "20000p/s", pattern, write_bytes)
}

fn sized(mib: u64, rate: &str, pattern: PatternSpec, write_bytes: u64) -> Checked {
    let plan = Plan {
        memory: MemoryAmount::Bytes(ByteSize::mib(mib)),
        rate: rate.parse().unwrap(),
        pattern,
        write_bytes,
        threads: Some(2),
        ..Plan::default()
    };
    plan::check(&plan, &probe::machine().unwrap()).unwrap()
}

/// Reads and writes stamps behind the writers' backs.
struct Saboteur {
    memory: File,
    base: u64,
}

impl Saboteur {
    fn new(engine: &Engine) -> Self {
        let memory = File::options().read(true).write(true).open("/proc/self/mem").unwrap();
        Self { memory, base: engine.regions.base() }
    }

    fn read(&self, page: u64) -> [u64; STAMP_WORDS] {
        let mut bytes = [0; STAMP_WORDS * 8];
        self.memory.read_exact_at(&mut bytes, self.base + page * 4096).unwrap();
        let mut words = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
        std::array::from_fn(|_| words.next().unwrap())
    }

    fn write(&self, page: u64, words: [u64; STAMP_WORDS]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.memory.write_all_at(&bytes, self.base + page * 4096).unwrap();
    }

    /// A fault of this kind, in a page that has been visited. `filled` are the stamps that all pages began with.
    fn inject(&self, kind: CorruptionKind, page: u64, filled: &[[u64; STAMP_WORDS]], random: u64) {
        let first = |page: u64| filled[usize::try_from(page).unwrap() % filled.len()];
        while Stamp::of(&self.read(page)).generation == 0 {
            Monotonic.sleep_until(Monotonic.now_ns() + 1_000_000);
        }
        let mut words = self.read(page);
        let stamp = Stamp::of(&words);
        self.write(
            page,
            match kind {
                CorruptionKind::Stale => first(page),
                CorruptionKind::Zeroed => [0; STAMP_WORDS],
                // Not as it is now: it may have been made corrupt a moment ago.
                CorruptionKind::Foreign if random.is_multiple_of(2) => first(page + 1),
                CorruptionKind::Foreign => Stamp { tag: !stamp.tag, ..stamp }.words(),
                CorruptionKind::Torn => {
                    words[usize::try_from(random % 5).unwrap()] ^= 1 << (random >> 58);
                    words
                }
                CorruptionKind::Unknown => {
                    Stamp { generation: stamp.generation.wrapping_add(100), ..stamp }.words()
                }
            },
        );
    }
}

fn finish(engine: &mut Engine, begin: &Snapshot) -> (Vec<Corruption>, crate::record::Totals) {
    let end = engine.stop();
    let mut found = Vec::new();
    engine.take_finds(&mut found, &mut Vec::new());
    assert_eq!(engine.failure(), None);
    (found, end.end(begin, EndReason::Stop, None, 0).totals)
}

/// Puts 100 faults of all kinds into the pages of a load, and runs it to its end: each is found once, and nothing else. Returns
/// how many were found so late that the time of the visit was no longer known.
fn finds_every_fault(plan: &Checked) -> usize {
    let mut engine = Engine::start(plan, &probe::cpus().unwrap()).unwrap();
    let (saboteur, begin) = (Saboteur::new(&engine), engine.snapshot());
    let pages = plan.pages().0;
    let filled: Vec<_> = (0..pages).map(|page| saboteur.read(page)).collect();
    engine.open_gate();
    let mut numbers = SplitMix64::seed_from_u64(Monotonic.now_ns());
    let mut injected = BTreeMap::new();
    while injected.len() < 100 {
        let page = numbers.random_range(0..pages);
        if !injected.contains_key(&page) {
            let kind = CorruptionKind::ALL[injected.len() % 5];
            saboteur.inject(kind, page, &filled, numbers.random());
            injected.insert(page, kind);
            Monotonic.sleep_until(Monotonic.now_ns() + numbers.random_range(0..10_000_000));
        }
    }
    // Some are found by visits, whatever the pattern, and others by the sweep.
    let enough = engine.snapshot().writes() + pages / 2;
    while engine.snapshot().writes() < enough {
        Monotonic.sleep_until(Monotonic.now_ns() + 1_000_000);
    }
    let (found, totals) = finish(&mut engine, &begin);
    let named: BTreeMap<u64, CorruptionKind> = found.iter().map(|find| (find.page, find.kind)).collect();
    assert_eq!((named, found.len()), (injected, 100));
    let counts = totals.corruptions.unwrap();
    assert_eq!((counts.sum(), counts.stale, counts.torn, counts.unknown), (100, 20, 20, 20));
    assert_eq!(totals.pages_swept, Some(pages));
    let late =
        found.iter().filter(|find| find.kind == CorruptionKind::Unknown && !find.found.contains(", at "));
    late.count()
}

#[test]
fn every_fault_is_found_once_and_rightly_named() {
    assert_eq!(finds_every_fault(&checked(PatternSpec::Shuffle, 8)), 0);
}

#[test]
fn every_fault_of_a_load_that_notes_its_visits_is_found_too() {
    let late = finds_every_fault(&sized(256, "30000p/s", PatternSpec::Shuffle, 8));
    assert!(late > 0, "no visit was noted");
}

#[test]
fn faults_that_no_visit_comes_to_are_found_by_the_sweep() {
    let plan = Checked {
        rate: "0".parse().unwrap(),
        target_pages_per_s: Some(0),
        ..checked(PatternSpec::Random, 8)
    };
    let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
    let (saboteur, begin) = (Saboteur::new(&engine), engine.snapshot());
    engine.open_gate();
    for page in [0, 1023, 1024, 2047] {
        saboteur.write(page, [0; STAMP_WORDS]);
    }
    let (found, totals) = finish(&mut engine, &begin);
    let pages: Vec<u64> = found.iter().map(|find| find.page).collect();
    assert_eq!(pages, [0, 1023, 1024, 2047]);
    assert_eq!((totals.writes, totals.corruptions.unwrap().zeroed), (0, 4));
}

#[test]
fn visits_that_keep_what_is_there_find_what_is_not_and_mend_it() {
    let plan = Checked { content: ContentSpec::Same, ..checked(PatternSpec::Shuffle, 8) };
    let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
    let (saboteur, begin) = (Saboteur::new(&engine), engine.snapshot());
    engine.open_gate();
    let mut torn = saboteur.read(7);
    torn[3] ^= 1;
    saboteur.write(5, [0; STAMP_WORDS]);
    saboteur.write(6, saboteur.read(8));
    saboteur.write(7, torn);
    while engine.snapshot().writes() < 2 * PAGES {
        Monotonic.sleep_until(Monotonic.now_ns() + 1_000_000);
    }
    let (found, totals) = finish(&mut engine, &begin);
    let named: BTreeMap<u64, CorruptionKind> = found.iter().map(|find| (find.page, find.kind)).collect();
    let injected = [(5, CorruptionKind::Zeroed), (6, CorruptionKind::Foreign), (7, CorruptionKind::Torn)];
    assert_eq!((named, totals.corruptions.unwrap().sum()), (BTreeMap::from(injected), 3));
}

#[test]
fn where_nothing_was_injected_nothing_is_found_and_all_pages_are_swept() {
    for (pattern, write_bytes) in
        [(PatternSpec::Sequential, 8), (PatternSpec::Shuffle, 4096), (PatternSpec::Random, 256)]
    {
        let plan = checked(pattern, write_bytes);
        let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
        let begin = engine.snapshot();
        let t0_ns = engine.open_gate();
        Monotonic.sleep_until(t0_ns + 300_000_000);
        let (found, totals) = finish(&mut engine, &begin);
        assert_eq!((found, totals.corruptions.unwrap().sum(), totals.pages_swept), (vec![], 0, Some(PAGES)));
        assert!(totals.writes > PAGES, "{}", totals.writes);
    }
}

#[test]
fn a_shuffle_visits_as_many_different_pages_as_it_makes_visits_in_an_interval() {
    let plan = sized(8, "5000p/s", PatternSpec::Shuffle, 8);
    // Up to a whole lap every visit is one of another page. A lap takes 0.4 s: on a busy machine the look may come later.
    let is_within_a_lap = (0..5).any(|_| {
        let mut engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
        let begin = engine.snapshot();
        let t0_ns = engine.open_gate();
        Monotonic.sleep_until(t0_ns + 20_000_000);
        let middle = engine.snapshot();
        let end = engine.stop();
        let first = middle.interval_since(&begin, &plan, "run");
        assert!(first.pages_unique.unwrap() <= first.writes.min(PAGES));
        let both = end.interval_since(&begin, &plan, "run");
        assert_eq!(both.pages_unique, None, "an interval over two epochs does not pretend to know");
        let is_within_a_lap = (1..=PAGES / 2).contains(&first.writes);
        if is_within_a_lap {
            assert_eq!(first.pages_unique, Some(first.writes));
        }
        is_within_a_lap
    });
    assert!(is_within_a_lap, "none of five looks came within a lap");
}
