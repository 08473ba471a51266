//! The speed of visits at full rate, as ratios to loops compiled into this same program: a peer's and a bare store's.
//!
//! The machine may be busy with something else: everything is measured in turn, several times, and a ratio is the
//! median of the ratios within one turn. Slowest and fastest turn are printed beside it.

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
const TURNS: usize = 7;
const SPAN_NS: u64 = 300_000_000;
/// Bare loops look at the clock after so many visits.
const STEP: u64 = 4096;

type Figure = Result<f64, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let loads = [
        ("random, timed and stamped", PatternSpec::Random, true),
        ("shuffle, timed and stamped", PatternSpec::Shuffle, true),
        ("random, bare", PatternSpec::Random, false),
        ("shuffle, bare", PatternSpec::Shuffle, false),
    ];
    let mut ratios = vec![Vec::new(); loads.len()];
    for _ in 0..TURNS {
        let (peer, store) = (on_own_region(peer_visits)?, on_own_region(bare_stores)?);
        println!("peer loop {peer:.2} M/s, bare store loop {store:.2} M/s");
        for ((name, pattern, full), ratios) in loads.iter().zip(&mut ratios) {
            let rate = engine(&load(*pattern, *full)?)?;
            println!("  {name}: {rate:.2} M/s");
            ratios.push(rate / if *full { peer } else { store });
        }
    }
    for ((name, _, full), ratios) in loads.iter().zip(&mut ratios) {
        ratios.sort_by(f64::total_cmp);
        let (low, median, high) = (ratios[0], ratios[TURNS / 2], ratios[TURNS - 1]);
        let other = if *full { "peer loop" } else { "bare store loop" };
        println!("{name}: {median:.2} of the {other} ({low:.2} to {high:.2})");
    }
    Ok(())
}

fn load(pattern: PatternSpec, full: bool) -> Result<Checked, Box<dyn Error>> {
    let plan = Plan {
        memory: MemoryAmount::Bytes(ByteSize::mib(MEMORY_MIB)),
        rate: Rate::Max,
        threads: Some(1),
        pattern,
        verify: full,
        latency: full,
        ..Plan::default()
    };
    Ok(plan::check(&plan, &probe::machine()?)?)
}

/// Million visits a second of the real engine.
fn engine(plan: &Checked) -> Figure {
    let mut engine = Engine::start(plan, &probe::cpus()?)?;
    let begin = engine.snapshot();
    let t0_ns = engine.open_gate();
    Monotonic.sleep_until(t0_ns + SPAN_NS);
    let totals = engine.stop().end(&begin, EndReason::Duration, None, 0).totals;
    Ok(totals.writes as f64 * 1e3 / totals.elapsed_ns as f64)
}

/// Million visits a second of `step`, which makes `STEP` visits from a seed and returns the next seed.
fn on_own_region(step: impl Fn(&mut Slice, &mut [u64; 64], u64) -> u64) -> Figure {
    let (_region, mut slices) = Region::map(load(PatternSpec::Random, false)?.pages(), 1)?;
    let slice = slices.first_mut().ok_or("a region without a slice")?;
    slice.fill(|words| words.fill(1));
    let (mut histogram, mut seed, mut visits) = ([0; 64], 1, 0);
    let begin_ns = Monotonic.now_ns();
    let mut span_ns = 0;
    while span_ns < SPAN_NS {
        seed = step(slice, &mut histogram, seed);
        visits += STEP;
        span_ns = Monotonic.now_ns() - begin_ns;
    }
    std::hint::black_box(histogram);
    Ok(visits as f64 * 1e3 / span_ns as f64)
}

/// As the nearest peer does it: two readings of the clock around a read-modify-write.
fn peer_visits(slice: &mut Slice, histogram: &mut [u64; 64], mut seed: u64) -> u64 {
    for _ in 0..STEP {
        let page = draw(&mut seed, slice);
        let start_ns = Monotonic.now_ns();
        let word = slice.read(page);
        slice.write(page, word + 1);
        let span_ns = Monotonic.now_ns() - start_ns;
        histogram[span_ns.checked_ilog2().unwrap_or(0) as usize] += 1;
    }
    seed
}

/// Nothing but stores.
fn bare_stores(slice: &mut Slice, _histogram: &mut [u64; 64], mut seed: u64) -> u64 {
    for visit in 0..STEP {
        let page = draw(&mut seed, slice);
        slice.write(page, visit);
    }
    seed
}

/// A page by xorshift and multiplication, the cheapest draw that is not visibly uneven.
fn draw(seed: &mut u64, slice: &Slice) -> PageIndex {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    PageIndex(((*seed >> 32) * slice.pages().0) >> 32)
}
