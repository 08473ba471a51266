//! How many pages the program dirties for itself, by the kernel's own log of every writable mapping but the region.
//!
//! Alone in its process: what another test writes would count too. `make bench-own` prints the figures of a release build.

#![expect(clippy::unwrap_used, reason = "a test: what does not work fails it")]

#[path = "../src/engine/truth/dirty_log.rs"]
mod dirty_log;

use dirty_log::DirtyLog;
use std::thread;
use sully::{
    clock::{Clock, Monotonic},
    guest::{self, Options},
    plan::{MemoryAmount, Plan},
    units::{self, ByteSize, Nanos},
};

const REGION_BYTES: u64 = 64 << 20;

/// Begin and length of every private anonymous mapping that may be written, the region left out.
fn own_mappings() -> Vec<(u64, u64)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut own = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        let name = fields.nth(3).unwrap_or_default();
        let (begin, end) = range.split_once('-').unwrap();
        let (begin, end) = (u64::from_str_radix(begin, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        if rights.starts_with("rw") && end - begin < REGION_BYTES && !name.starts_with("[v") {
            own.push((begin, end - begin));
        }
    }
    own
}

/// What is dirtied besides is for gaps: on a busy machine thousands of them are judged together.
const MOST_PAGES: usize = 400;

#[test]
fn own_pages_dirtied_in_an_interval_are_few() {
    let plan = Plan {
        memory: MemoryAmount::Bytes(ByteSize(REGION_BYTES)),
        threads: Some(2),
        baseline: Nanos(0),
        interval: Nanos::from_ms(100),
        duration: Some(Nanos::from_secs(4)),
        ..Plan::default()
    };
    let options = Options { plan, targets: vec!["file:/dev/null".parse().unwrap()] };
    let run = thread::spawn(move || guest::run(&options));
    let mut awake_ns = Monotonic.now_ns() + 1_500_000_000;
    Monotonic.sleep_until(awake_ns);
    let mut logs = Vec::new();
    for (begin, length) in own_mappings() {
        match DirtyLog::open(begin, length / units::PAGE_BYTES) {
            Ok(log) => logs.push(log),
            Err(reason) => {
                eprintln!("SKIPPED: own_pages_dirtied_in_an_interval_are_few: {reason}");
                return;
            }
        }
    }
    let mut found: Vec<usize> = (0..12)
        .map(|_| {
            awake_ns += 100_000_000;
            Monotonic.sleep_until(awake_ns);
            logs.iter().map(|log| log.take().unwrap().len()).sum()
        })
        .collect();
    run.join().unwrap().unwrap();
    found.sort_unstable();
    println!("pages dirtied in 100 ms, from the least to the most: {found:?}");
    assert!(found[found.len() / 2] <= MOST_PAGES, "{found:?}");
}
