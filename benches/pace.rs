//! How exactly a rate is kept, and what keeping it costs.
//!
//! `cargo bench --bench pace -- [SECONDS]`. Each rate for so long, one writer: the mean rate beside the one asked for, the
//! share of 100 ms intervals within 5 % of it, the CPU time of the writer and of everything else of ours (canaries,
//! snapshots). What the stores themselves cost is in `visit`.

use std::error::Error;
use sully::{
    clock::{Clock, Monotonic},
    engine::Engine,
    plan::{self, MemoryAmount, Plan},
    probe,
    record::EndReason,
    units::{ByteSize, Rate},
};

const SECONDS: u64 = 10;
const TICK_NS: u64 = 100_000_000;
const MEMORY_MIB: u64 = 256;
/// Page visits a second; 25 600 are 100 M/s.
const RATES: [u64; 6] = [100, 1000, 10_000, 25_600, 200_000, 2_000_000];

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let seconds: u64 = given.map_or(Ok(SECONDS), |word| word.parse())?.max(1);
    println!("{MEMORY_MIB} MiB, one writer, {seconds} s each");
    for rate in RATES {
        measure(rate, seconds * 1_000_000_000)?;
    }
    Ok(())
}

fn measure(rate: u64, span_ns: u64) -> Result<(), Box<dyn Error>> {
    let plan = Plan {
        memory: MemoryAmount::Bytes(ByteSize::mib(MEMORY_MIB)),
        rate: Rate::PagesPerSecond(rate),
        threads: Some(1),
        ..Plan::default()
    };
    let plan = plan::check(&plan, &probe::machine()?)?;
    let mut engine = Engine::start(&plan, &probe::cpus()?)?;
    let (before, begin_cpu_ns) = (engine.snapshot(), probe::process_cpu_ns());
    let t0_ns = engine.open_gate();
    let (mut last, mut near, mut ticks) = (before.clone(), 0u32, 0u32);
    while Monotonic.now_ns() < t0_ns + span_ns {
        ticks += 1;
        Monotonic.sleep_until((t0_ns + u64::from(ticks) * TICK_NS).min(t0_ns + span_ns));
        let now = engine.snapshot();
        let interval = now.interval_since(&last, &plan, "bench");
        let due = rate as f64 * (interval.end_ns - interval.start_ns) as f64 / 1e9;
        // A visit more or less is nobody's fault.
        near += u32::from((interval.writes as f64 - due).abs() <= (due * 0.05).max(1.0));
        last = now;
        engine.check_clock();
    }
    let end = engine.stop().end(&before, EndReason::Duration, None, 0).totals;
    let cpu_ns = probe::process_cpu_ns() - begin_cpu_ns;
    let writer_ns = cpu_ns.saturating_sub(end.self_cpu_ns);
    let part = |part_ns: u64| part_ns as f64 * 100.0 / span_ns as f64;
    println!(
        "{rate} p/s: mean off by {:.4} %, {near} of {ticks} intervals within 5 %; a CPU's time: {:.2} % the writer, {:.2} % all else",
        (end.writes as f64 / rate as f64 / (end.elapsed_ns as f64 / 1e9) - 1.0) * 100.0,
        part(writer_ns),
        part(end.self_cpu_ns),
    );
    Ok(())
}
