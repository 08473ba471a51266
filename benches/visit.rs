//! The speed of visits at full rate, as ratios to loops compiled into this same program: a peer's and bare stores.
//!
//! `cargo bench --bench visit -- [MEMORY_MIB]`. One thread each, pinned to the same CPU, on memory of the same kind. The
//! machine may be busy with something else: rates are per second of CPU time, everything is measured in turn, several
//! times, and a ratio is the median of the ratios within one turn, with the lowest and the highest beside it.

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::gettid,
};
use std::error::Error;
use sully::{
    clock::{Clock, Monotonic},
    engine::Engine,
    plan::{self, Checked, MemoryAmount, PatternSpec, Plan},
    probe,
    record::EndReason,
    region::{Region, Slice},
    units::{ByteSize, PageIndex, Rate},
};

const MEMORY_MIB: u64 = 1024;
const TURNS: usize = 5;
const SPAN_NS: u64 = 300_000_000;
/// Bare loops look at the clock after so many visits, whose pages are drawn before.
const STEP: usize = 4096;

type Figure = Result<f64, Box<dyn Error>>;

/// A load, whether it is timed and stamped, and what it is compared with.
const LOADS: [(&str, PatternSpec, bool); 4] = [
    ("random, timed and stamped", PatternSpec::Random, true),
    ("shuffle, timed and stamped", PatternSpec::Shuffle, true),
    ("random, bare", PatternSpec::Random, false),
    ("shuffle, bare", PatternSpec::Shuffle, false),
];

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let memory_mib = given.map_or(Ok(MEMORY_MIB), |word| word.parse())?;
    let mut ratios = [const { Vec::new() }; LOADS.len()];
    let plain = load(memory_mib, PatternSpec::Random, false)?;
    for _ in 0..TURNS {
        let (region, mut slices) = Region::map_as(plain.pages(), 1, &plain.kind, &probe::numa_nodes())?;
        let slice = slices.first_mut().ok_or("a region without a slice")?;
        slice.fill(|words| words.fill(1))?;
        let (peer, store, change) =
            (bare(slice, peer_visits)?, bare(slice, bare_stores)?, bare(slice, bare_changes)?);
        drop((slices, region));
        println!("peer {peer:.2}, bare stores {store:.2}, bare read-modify-writes {change:.2} M/s");
        for ((name, pattern, full), ratios) in LOADS.into_iter().zip(&mut ratios) {
            let rate = engine(&load(memory_mib, pattern, full)?)?;
            println!("  {name}: {rate:.2} M/s");
            ratios.push(rate / if full { peer } else { store });
        }
    }
    for ((name, _, full), ratios) in LOADS.iter().zip(&mut ratios) {
        ratios.sort_by(f64::total_cmp);
        let (low, median, high) = (ratios[0], ratios[TURNS / 2], ratios[TURNS - 1]);
        let other = if *full { "the peer's loop" } else { "the bare store loop" };
        println!("{name}: {median:.2} of {other} ({low:.2} to {high:.2})");
    }
    Ok(())
}

fn load(memory_mib: u64, pattern: PatternSpec, full: bool) -> Result<Checked, Box<dyn Error>> {
    let plan = Plan {
        memory: MemoryAmount::Bytes(ByteSize::mib(memory_mib)),
        rate: Rate::Max,
        threads: Some(1),
        pattern,
        verify: full,
        latency: full,
        ..Plan::default()
    };
    Ok(plan::check(&plan, &probe::machine()?)?)
}

/// Million visits of the real engine, a second of its writer's CPU time.
fn engine(plan: &Checked) -> Figure {
    let cpus = probe::cpus()?;
    let mut engine = Engine::start(plan, &cpus[..1])?;
    let end_ns = engine.open_gate() + SPAN_NS;
    let (begin, begin_cpu_ns) = (engine.snapshot(), probe::process_cpu_ns());
    while Monotonic.now_ns() < end_ns {
        Monotonic.sleep_until(end_ns.min(Monotonic.now_ns() + 100_000_000));
        if let Some(failure) = engine.check_clock() {
            println!("the clock was given up: {failure:?}");
        }
    }
    let totals = engine.snapshot().end(&begin, EndReason::Duration, None, 0).totals;
    // All that is not the writer's: canaries, snapshots.
    let cpu_ns = (probe::process_cpu_ns() - begin_cpu_ns).saturating_sub(totals.self_cpu_ns);
    Ok(totals.writes as f64 * 1e3 / cpu_ns as f64)
}

/// Million visits of `step`, a second of its CPU time, on the CPU that the engine's writer has.
fn bare(slice: &mut Slice, step: fn(&mut Slice, &mut [u64; 64], &[PageIndex])) -> Figure {
    let cpu = probe::cpus()?[0];
    let visits = move || {
        let mut only = CpuSet::new();
        only.set(cpu as usize)?;
        sched_setaffinity(gettid(), &only)?;
        let (mut pages, mut seed, mut histogram) = (vec![PageIndex(0); STEP], 1, [0; 64]);
        let cpu_ns = || probe::thread_cpu_ns(gettid()).unwrap_or(0);
        let (end_ns, mut visits, mut span_ns) = (Monotonic.now_ns() + SPAN_NS, 0, 0);
        while Monotonic.now_ns() < end_ns {
            pages.fill_with(|| draw(&mut seed, slice));
            let begin_ns = cpu_ns();
            step(slice, &mut histogram, &pages);
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

/// Nothing but a load and a store.
fn bare_changes(slice: &mut Slice, _histogram: &mut [u64; 64], pages: &[PageIndex]) {
    for page in pages {
        let word = slice.read(*page);
        slice.write(*page, word + 1);
    }
}

/// A page by xorshift and multiplication.
fn draw(seed: &mut u64, slice: &Slice) -> PageIndex {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    PageIndex(((*seed >> 32) * slice.pages().0) >> 32)
}
