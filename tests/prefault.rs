//! How fast the region is made and filled, next to a plain memset of fresh memory by as many threads as there are CPUs.
//!
//! `make bench-prefault` runs it in a release build: `SULLY_PREFAULT_MIB` says how much memory, `SULLY_PREFAULT_ROUNDS`
//! how often.

#![expect(clippy::unwrap_used, reason = "a test: what does not work fails it")]

use std::{hint::black_box, thread};
use sully::{
    clock::{Clock, Monotonic},
    engine::Engine,
    plan,
    plan::Plan,
    probe,
};

/// Bytes a nanosecond: GB/s.
fn gb_per_s(bytes: u64, ns: u64) -> f64 {
    bytes as f64 / ns.max(1) as f64
}

fn from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What `threads` need to write fresh memory of their own, all together `bytes`.
fn memset_ns(bytes: u64, threads: u64) -> u64 {
    let own = usize::try_from(bytes / threads).unwrap();
    let begin_ns = Monotonic.now_ns();
    let memory: Vec<Vec<u8>> = thread::scope(|scope| {
        let threads = (0..threads).map(|_| {
            scope.spawn(|| {
                let mut memory: Vec<u8> = Vec::with_capacity(own);
                memory.resize(own, black_box(0x5a));
                memory
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let ns = Monotonic.now_ns().saturating_sub(begin_ns);
    // Giving it back is not part of it.
    drop(black_box(memory));
    ns
}

fn prefault_ns(plan: &Plan) -> u64 {
    let checked = plan::check(plan, &probe::machine().unwrap()).unwrap();
    let engine = Engine::start(&checked, &probe::cpus().unwrap()).unwrap();
    engine.facts().memory.prefault_ns
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn the_region_is_made_and_filled_at_a_fair_share_of_what_memset_does() {
    let mib = from_env("SULLY_PREFAULT_MIB", 64);
    let rounds = from_env("SULLY_PREFAULT_ROUNDS", 3);
    let (bytes, cpus) = (mib << 20, probe::cpus().unwrap().len() as u64);
    for (threads, content) in [(1, "random"), (1, "zero"), (cpus, "random"), (cpus, "zero")] {
        let plan = Plan {
            memory: format!("{mib}M").parse().unwrap(),
            threads: u32::try_from(threads).ok(),
            content: content.parse().unwrap(),
            ..Plan::default()
        };
        // In turn, so that a machine busy with something else slows both.
        let (memset, ours): (Vec<u64>, Vec<u64>) =
            (0..rounds).map(|_| (memset_ns(bytes, cpus), prefault_ns(&plan))).unzip();
        let (memset, ours) = (gb_per_s(bytes, median(memset)), gb_per_s(bytes, median(ours)));
        let ratio = ours / memset;
        println!(
            "prefault: {mib} MiB {content}, {threads} writers on {cpus} CPUs: {ours:.2} GB/s, \
             memset {memset:.2} GB/s, ratio {ratio:.2}"
        );
        // An unoptimized build makes random content at a third of the speed: 0.20 and 0.30 on two busy CPUs, where zeros came
        // to 0.64 and 0.98.
        let least = if cfg!(debug_assertions) && content == "random" { 0.06 } else { 0.2 };
        assert!(ratio > least, "{content}, {threads} writers: {ratio:.2}, at least {least}");
    }
}
