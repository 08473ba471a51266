//! The speed of visits at full rate, as ratios to loops compiled into this same program: a peer's and bare stores.
//!
//! `cargo bench --bench visit -- [MEMORY_MIB [TURNS]]`. One thread at a time, on the same CPU, on memory of the same kind.
//! The machine may be busy with something else: rates are per second of CPU time, everything is measured in turn within
//! a second, many times, and a ratio is the median of the ratios within one turn, with the quartiles beside it.

mod idle;

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::gettid,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::{error::Error, str::FromStr};
use sully::{
    clock::{Clock, Monotonic},
    engine::Engine,
    pattern::{self, AddressPattern},
    plan::{Checked, ContentSpec, Load, PatternSpec, WORD_BYTES},
    probe,
    record::EndReason,
    region::{Region, Slice},
    units::{PAGE_BYTES, PageIndex, Rate},
};

const MEMORY_MIB: u64 = 1024;
const TURNS: usize = 15;
/// How long a load or a loop is measured in one turn.
const SPAN_NS: u64 = 60_000_000;
/// How long an engine has to take up a load.
const SETTLING_NS: u64 = 5_000_000;
/// Loops look at the clock after so many visits.
const STEP: usize = 4096;

type Figure = Result<f64, Box<dyn Error>>;

/// A load: its name, pattern, content, whether it writes whole pages, and whether it is timed and stamped.
type Case = (&'static str, &'static str, &'static str, bool, bool);

/// A load that is timed and not stamped; the first case is the same with stamps.
const TIMED: Case = ("random, timed", "random", "random", false, true);

const CASES: [Case; 16] = [
    ("random, timed and stamped", "random", "random", false, true),
    ("shuffle, timed and stamped", "shuffle", "random", false, true),
    ("sequential, timed and stamped", "sequential", "random", false, true),
    ("zipf:0.99, timed and stamped", "zipf:0.99", "random", false, true),
    ("hotspot:10/90, timed and stamped", "hotspot:10%/90%", "random", false, true),
    ("stride:16, timed and stamped", "stride:16", "random", false, true),
    ("random, delta:64, timed and stamped", "random", "delta:64", false, true),
    ("random, same, timed and stamped", "random", "same", false, true),
    ("random, compress:50 whole pages, timed and stamped", "random", "compress:50", true, true),
    ("random, bare", "random", "random", false, false),
    ("shuffle, bare", "shuffle", "random", false, false),
    ("sequential, bare", "sequential", "random", false, false),
    ("zipf:0.99, bare", "zipf:0.99", "random", false, false),
    ("hotspot:10/90, bare", "hotspot:10%/90%", "random", false, false),
    ("stride:16, bare", "stride:16", "random", false, false),
    ("random, zero whole pages, bare", "random", "zero", true, false),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut given = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let memory_mib = given.next().map_or(Ok(MEMORY_MIB), |word| word.parse())?;
    let turns = given.next().map_or(Ok(TURNS), |word| word.parse())?.max(1);
    let cpu = probe::cpus()?[0];
    let (mut full, mut bare) =
        (Loaded::start(memory_mib, (true, true), cpu)?, Loaded::start(memory_mib, (false, false), cpu)?);
    let mut timed = Loaded::start(memory_mib, (true, false), cpu)?;
    let (_region, mut slices) = Region::map_as(full.plan.pages(), 1, &full.plan.kind, &probe::numa_nodes())?;
    let slice = slices.first_mut().ok_or("a region without a slice")?;
    slice.fill(|words| words.fill(1))?;
    let mut figures = [const { Figures::new() }; CASES.len()];
    let mut beside_stamped = Figures::new();
    for _ in 0..turns {
        [&mut full, &mut timed].into_iter().for_each(Loaded::check_clock);
        let (stamped, rate) = (full.rate(&CASES[0])?, timed.rate(&TIMED)?);
        beside_stamped.rates.push(rate);
        beside_stamped.others.push(stamped);
        beside_stamped.ratios.push(rate / stamped);
        for (case, figures) in CASES.iter().zip(&mut figures) {
            // As often as a run does it: a counter is not foretold for seconds.
            [&mut full, &mut bare].into_iter().for_each(Loaded::check_clock);
            let (loaded, step): (_, Step) =
                if case.4 { (&mut full, peer_visits) } else { (&mut bare, bare_stores) };
            let (other, rate) = (measured(slice, case, (step, Drawing::Before), cpu)?, loaded.rate(case)?);
            figures.rates.push(rate);
            figures.others.push(other);
            figures.ratios.push(rate / other);
            if !case.4 {
                let mut beside = |drawing| measured(slice, case, (step, drawing), cpu);
                figures.blocks.push(rate / beside(Drawing::InBlocks)?);
                figures.one_by_one.push(rate / beside(Drawing::OneByOne)?);
            }
        }
    }
    println!("{memory_mib} MiB, {turns} turns; median (quartiles), million visits a second of CPU time");
    CASES.iter().zip(&mut figures).for_each(|(case, figures)| figures.print(case));
    beside_stamped.print_beside(TIMED.0, "the same, timed and stamped");
    Ok(())
}

/// What was found of one case, turn by turn.
struct Figures {
    rates: Vec<f64>,
    /// Of the loop beside it.
    others: Vec<f64>,
    ratios: Vec<f64>,
    /// To bare stores that draw their pages as well, some thousand ahead.
    blocks: Vec<f64>,
    /// To bare stores that draw each page just before they store into it.
    one_by_one: Vec<f64>,
}

impl Figures {
    const fn new() -> Self {
        Self {
            rates: Vec::new(),
            others: Vec::new(),
            ratios: Vec::new(),
            blocks: Vec::new(),
            one_by_one: Vec::new(),
        }
    }

    fn print_beside(&mut self, name: &str, other: &str) {
        let (rate, ratio, others) =
            (spread(&mut self.rates), spread(&mut self.ratios), spread(&mut self.others));
        println!("{name}: {rate} M/s, {ratio} of {other} ({others} M/s)");
    }

    fn print(&mut self, case: &Case) {
        self.print_beside(case.0, if case.4 { "the peer's loop" } else { "bare stores" });
        if case.4 {
            return;
        }
        let (blocks, one_by_one) = (spread(&mut self.blocks), spread(&mut self.one_by_one));
        println!("    of bare stores that draw their pages: one by one {one_by_one}, in blocks {blocks}");
    }
}

/// When the pages are drawn that a loop visits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawing {
    /// Before what is measured.
    Before,
    /// A block of them, then the visits to them: both are measured.
    InBlocks,
    /// Each just before its visit, as a loop that was written without much thought does it.
    OneByOne,
}

fn spread(figures: &mut [f64]) -> String {
    figures.sort_by(f64::total_cmp);
    let at = |part: usize| figures[(figures.len() - 1) * part / 4];
    format!("{:.2} ({:.2} to {:.2})", at(2), at(1), at(3))
}

/// An engine, idle but while it is measured.
struct Loaded {
    plan: Checked,
    engine: Engine,
}

impl Loaded {
    fn start(memory_mib: u64, timed_and_stamped: (bool, bool), cpu: u32) -> Result<Self, Box<dyn Error>> {
        let (plan, engine) = idle::engine(memory_mib, timed_and_stamped, cpu)?;
        Ok(Self { plan, engine })
    }

    fn check_clock(&mut self) {
        if let Some(failure) = self.engine.check_clock() {
            println!("the clock was given up: {failure:?}");
        }
    }

    /// Million visits a second of the writer's CPU time.
    fn rate(&mut self, &(name, pattern, content, whole, _): &Case) -> Figure {
        let load = Load {
            rate: Rate::Max,
            pattern: PatternSpec::from_str(pattern).map_err(|error| format!("{name}: {error}"))?,
            content: ContentSpec::from_str(content).map_err(|error| format!("{name}: {error}"))?,
            write_bytes: if whole { PAGE_BYTES } else { WORD_BYTES },
            ..self.plan.load()
        };
        self.engine.change(load)?;
        Monotonic.sleep_until(Monotonic.now_ns() + SETTLING_NS);
        let (begin, begin_cpu_ns) = (self.engine.snapshot(), probe::process_cpu_ns());
        Monotonic.sleep_until(Monotonic.now_ns() + SPAN_NS);
        let totals = self.engine.snapshot().end(&begin, EndReason::Duration, None, 0).totals;
        // All that is not the writer's: canaries, snapshots.
        let cpu_ns = (probe::process_cpu_ns() - begin_cpu_ns).saturating_sub(totals.self_cpu_ns);
        self.engine.change(self.plan.load())?;
        Monotonic.sleep_until(Monotonic.now_ns() + SETTLING_NS);
        Ok(totals.writes as f64 * 1e3 / cpu_ns as f64)
    }
}

type Step = fn(&mut Slice, &mut [u64; 64], &[PageIndex]);

/// Million visits of `step`, a second of its CPU time, on the CPU that the engine's writer has and in its order.
fn measured(
    slice: &mut Slice,
    &(name, spec, ..): &Case,
    (step, drawing): (Step, Drawing),
    cpu: u32,
) -> Figure {
    let spec = PatternSpec::from_str(spec).map_err(|error| format!("{name}: {error}"))?;
    let visits = move || {
        let mut order = pattern::pattern(spec, slice.pages(), 1);
        let mut only = CpuSet::new();
        only.set(cpu as usize)?;
        sched_setaffinity(gettid(), &only)?;
        let (mut pages, mut histogram) = (vec![PageIndex(0); STEP], [0; 64]);
        let mut numbers = Xoshiro256PlusPlus::seed_from_u64(1);
        let cpu_ns = || probe::thread_cpu_ns(gettid()).unwrap_or(0);
        let (end_ns, mut visits, mut span_ns) = (Monotonic.now_ns() + SPAN_NS, 0, 0);
        while Monotonic.now_ns() < end_ns {
            let before_ns = cpu_ns();
            if drawing != Drawing::OneByOne {
                order.fill(&mut pages);
            }
            let begin_ns = if drawing == Drawing::Before { cpu_ns() } else { before_ns };
            match (drawing, spec) {
                (Drawing::OneByOne, PatternSpec::Random) => random_stores(slice, &mut numbers),
                (Drawing::OneByOne, _) => drawn_stores(slice, &mut *order),
                _ => step(slice, &mut histogram, &pages),
            }
            span_ns += cpu_ns() - begin_ns;
            visits += STEP;
        }
        std::hint::black_box(histogram);
        Ok(visits as f64 * 1e3 / span_ns as f64)
    };
    let pinned = std::thread::scope(|scope| scope.spawn(visits).join());
    pinned.map_err(|_| "a loop died")?.map_err(|error: nix::Error| error.into())
}

/// As the nearest peer does it: two readings of the clock around a read-modify-write.
fn peer_visits(slice: &mut Slice, histogram: &mut [u64; 64], pages: &[PageIndex]) {
    for page in pages {
        let start_ns = Monotonic.now_ns();
        let word = slice.read(*page);
        slice.write(*page, word + 1);
        let span_ns = Monotonic.now_ns() - start_ns;
        histogram[span_ns.checked_ilog2().unwrap_or(0) as usize] += 1;
    }
}

/// Nothing but stores.
fn bare_stores(slice: &mut Slice, _histogram: &mut [u64; 64], pages: &[PageIndex]) {
    for page in pages {
        slice.write(*page, 1);
    }
}

/// The same to random pages, each drawn here and now by the generator that the pattern has.
fn random_stores(slice: &mut Slice, numbers: &mut Xoshiro256PlusPlus) {
    let pages = u128::from(slice.pages().0);
    for _ in 0..STEP {
        let page = (u128::from(numbers.next_u64()) * pages) >> 64;
        slice.write(PageIndex(u64::try_from(page).unwrap_or(0)), 1);
    }
}

/// The same to the pages of any other pattern.
fn drawn_stores(slice: &mut Slice, order: &mut dyn AddressPattern) {
    let mut page = PageIndex(0);
    for _ in 0..STEP {
        order.fill(std::slice::from_mut(&mut page));
        slice.write(page, 1);
    }
}
