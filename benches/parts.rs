//! The time that whole visits and their parts take, by pattern, content and stamps, beside bare loops: by divan.
//!
//! `cargo bench --bench parts`. Bare loops and parts go over pages that were drawn before; whole visits are the
//! engine's, at full rate, drawing and all. Times are of the clock on the wall: on a busy machine believe `fastest`, and the
//! ratios of `visit`, which counts CPU time and takes turns.

mod common;
mod idle;

use common::{Ground, Painted, Stamped, Timed};
use divan::{Bencher, counter::ItemsCount};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::gettid,
};
use std::{
    error::Error,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};
use sully::{
    clock::{Clock, Monotonic},
    engine::Engine,
    pace::BATCH,
    plan::{Checked, ContentSpec, Load, WORD_BYTES},
    probe,
    units::{PAGE_BYTES, Rate},
};

/// The orders in which pages are visited.
const PATTERNS: [&str; 6] = ["sequential", "shuffle", "random", "zipf:0.99", "hotspot:10%/90%", "stride:16"];

/// What visits write beyond the stamp: the whole page, but where bytes are scattered.
const CONTENTS: [&str; 6] = ["random", "zero", "fill:0xaa", "compress:50", "delta:64", "same"];

/// 256 MiB: more than caches hold, and than the table of pages they keep reaches.
const MEMORY_MIB: u64 = 256;
const PAGES: u64 = MEMORY_MIB * 256;
/// Visits of one sample: whole batches.
const VISITS: usize = 256 * BATCH;
/// Of whole visits, which are only looked at now and then.
const WHOLE_VISITS: usize = 1024 * BATCH;
/// Of contents, which take a microsecond each.
const FEW_VISITS: usize = 32 * BATCH;
const SAMPLES: u32 = 20;
/// How often whole visits are looked at: some hundredths of a sample at most, by which they seem to take longer.
const LOOK_NS: u64 = 100_000;
/// How long a writer has to take up a load.
const SETTLING_NS: u64 = 20_000_000;

fn main() {
    divan::main();
}

#[divan::bench(args = PATTERNS, sample_count = SAMPLES, sample_size = 1)]
fn bare_stores(bencher: Bencher, pattern: &str) {
    let mut ground = Ground::new(PAGES, pattern, VISITS).expect("memory");
    bencher.counter(ItemsCount::new(VISITS)).bench_local(|| ground.store());
}

#[divan::bench(args = PATTERNS, sample_count = SAMPLES, sample_size = 1)]
fn bare_read_modify_writes(bencher: Bencher, pattern: &str) {
    let mut ground = Ground::new(PAGES, pattern, VISITS).expect("memory");
    bencher.counter(ItemsCount::new(VISITS)).bench_local(|| ground.read_modify_write());
}

#[divan::bench(args = PATTERNS, sample_count = SAMPLES, sample_size = 1)]
fn part_draw(bencher: Bencher, pattern: &str) {
    let mut order = common::order(pattern, PAGES).expect("a pattern");
    bencher.counter(ItemsCount::new(VISITS)).bench_local(|| common::draw(&mut *order, VISITS));
}

#[divan::bench(args = PATTERNS, sample_count = SAMPLES, sample_size = 1)]
fn part_stamp(bencher: Bencher, pattern: &str) {
    let ground = Ground::new(PAGES, pattern, VISITS).expect("memory");
    let mut stamped = Stamped::new(ground).expect("memory that is there already");
    bencher.counter(ItemsCount::new(VISITS)).bench_local(|| stamped.renew());
}

#[divan::bench(sample_count = SAMPLES, sample_size = 1)]
fn part_time(bencher: Bencher) {
    let timed = Timed::new().expect("a cycle counter");
    bencher.counter(ItemsCount::new(VISITS)).bench_local(|| timed.time(VISITS));
}

#[divan::bench(args = CONTENTS, sample_count = SAMPLES, sample_size = 1)]
fn part_paint(bencher: Bencher, content: &str) {
    let ground = Ground::new(PAGES, "random", FEW_VISITS).expect("memory");
    let mut painted = Painted::new(ground, content).expect("a content");
    bencher.counter(ItemsCount::new(FEW_VISITS)).bench_local(|| painted.paint());
}

#[divan::bench(args = PATTERNS, sample_count = SAMPLES, sample_size = 1)]
fn visit_bare(bencher: Bencher, pattern: &str) {
    static LOADED: OnceLock<Mutex<Loaded>> = OnceLock::new();
    loaded(&LOADED, false).bench(bencher, (pattern, "random", WORD_BYTES), WHOLE_VISITS);
}

#[divan::bench(args = PATTERNS, sample_count = SAMPLES, sample_size = 1)]
fn visit_stamped(bencher: Bencher, pattern: &str) {
    loaded(&STAMPED, true).bench(bencher, (pattern, "random", WORD_BYTES), WHOLE_VISITS);
}

#[divan::bench(args = CONTENTS, sample_count = SAMPLES, sample_size = 1)]
fn visit_stamped_painted(bencher: Bencher, content: &str) {
    let write_bytes = if content.starts_with("delta") { WORD_BYTES } else { PAGE_BYTES };
    loaded(&STAMPED, true).bench(bencher, ("random", content, write_bytes), FEW_VISITS);
}

static STAMPED: OnceLock<Mutex<Loaded>> = OnceLock::new();

/// The engine that is kept there, started where there is none yet.
fn loaded(place: &'static OnceLock<Mutex<Loaded>>, full: bool) -> MutexGuard<'static, Loaded> {
    let start = || Mutex::new(Loaded::start(full).expect("an engine"));
    place.get_or_init(start).lock().unwrap_or_else(PoisonError::into_inner)
}

/// An engine, idle but while it is measured.
struct Loaded {
    plan: Checked,
    engine: Engine,
}

impl Loaded {
    /// With visits timed and stamped, or bare. Its writer has the first CPU; whoever looks at it goes elsewhere.
    fn start(full: bool) -> Result<Self, Box<dyn Error>> {
        /// As they were before anybody went elsewhere.
        static CPUS: OnceLock<Vec<u32>> = OnceLock::new();
        let found = probe::cpus()?;
        let cpus = CPUS.get_or_init(|| found);
        if let [_, others @ ..] = &**cpus
            && !others.is_empty()
        {
            let mut set = CpuSet::new();
            others.iter().try_for_each(|cpu| set.set(*cpu as usize))?;
            sched_setaffinity(gettid(), &set)?;
        }
        let (plan, engine) = idle::engine(MEMORY_MIB, (full, full), cpus[0])?;
        Ok(Self { plan, engine })
    }

    /// How long its writer takes for so many visits.
    fn bench(&mut self, bencher: Bencher, (pattern, content, write_bytes): (&str, &str, u64), visits: usize) {
        let load = Load {
            rate: Rate::Max,
            pattern: pattern.parse().expect("a pattern"),
            content: content.parse::<ContentSpec>().expect("a content"),
            write_bytes,
            ..self.plan.load()
        };
        self.change(load);
        bencher.counter(ItemsCount::new(visits)).bench_local(|| {
            let end = self.engine.snapshot().writes() + visits as u64;
            while self.engine.snapshot().writes() < end {
                Monotonic.sleep_until(Monotonic.now_ns() + LOOK_NS);
            }
            // The clock of visits is the counter only as long as it is compared.
            self.engine.check_clock();
        });
        self.change(self.plan.load());
    }

    /// Has it do `load`, and waits until it does.
    fn change(&mut self, load: Load) {
        self.engine.change(load).expect("a writer that listens");
        Monotonic.sleep_until(Monotonic.now_ns() + SETTLING_NS);
    }
}
