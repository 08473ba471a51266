//! A real VM in migration: the dirty rate that QEMU states, beside the different pages that the guest wrote meanwhile.
//!
//! QEMU counts the pages that became dirty between two syncs of its bitmap that lie more than a second apart. Needs what
//! `tests/vm.rs` needs; `SULLY_TEST_ALL_RATES=1` measures at three rates instead of one.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod parts;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Pages of the region: 256 MiB.
const PAGES: f64 = 65_536.0;
/// QEMU's count may be lower or higher by this share of the guest's count: seen on a busy machine were 4.4 % ...
const SHARE: f64 = 0.08;
/// ... and higher by so many pages that are not the region's: the guest's kernel, the tool's tables and outbox.
const OWN_PAGES: f64 = 800.0;
/// QEMU counts over a second at least.
const PERIOD_NS: f64 = 1.0e9;

/// Between two syncs: pages that QEMU counted, and different pages that the guest wrote.
#[derive(Debug)]
struct Period {
    seconds: f64,
    qemu_pages: f64,
    guest_pages: f64,
}

#[test]
fn qemus_dirty_rate_is_that_of_the_different_pages_of_a_shuffle() {
    agrees("qemus_dirty_rate_is_that_of_the_different_pages_of_a_shuffle", "shuffle", shuffled);
}

#[test]
fn qemus_dirty_rate_is_that_of_the_different_pages_of_random_visits() {
    agrees("qemus_dirty_rate_is_that_of_the_different_pages_of_random_visits", "random", random);
}

/// Different pages of a shuffle that has made `from` visits and then makes others until there are `to`. Within a lap
/// each meets another page; the next lap's are drawn anew, so a share of them was met before.
fn shuffled(from: f64, to: f64) -> f64 {
    let lap_ends = ((from / PAGES).floor() + 1.0) * PAGES;
    if to <= lap_ends {
        return to - from;
    }
    let (before, after) = (lap_ends - from, to - lap_ends);
    if after >= PAGES { PAGES } else { before + after - before * after / PAGES }
}

/// The same with replacement.
fn random(from: f64, to: f64) -> f64 {
    PAGES * (1.0 - (1.0 - 1.0 / PAGES).powf(to - from))
}

fn agrees(test: &str, pattern: &str, different: fn(f64, f64) -> f64) {
    let (program, image) = match parts::lab_and_image() {
        Ok(both) => both,
        Err(why) => return eprintln!("SKIPPED: {test}: {why}"),
    };
    let all_rates = std::env::var_os("SULLY_TEST_ALL_RATES").is_some();
    let rates: &[u64] = if all_rates { &[4_000, 6_000, 9_000] } else { &[6_000] };
    for rate in rates {
        let out = tempfile::tempdir().unwrap();
        migrate((&program, &image), out.path(), pattern, *rate);
        let mut directories = std::fs::read_dir(out.path()).unwrap().flatten().map(|entry| entry.path());
        let directory = directories.find(|path| path.join("run.json").exists()).unwrap();
        let periods = periods(&directory, different);
        assert!(!periods.is_empty(), "{pattern} {rate}: no two syncs lay a second apart");
        for period in periods {
            let (qemu, guest) = (period.qemu_pages, period.guest_pages);
            println!(
                "{pattern} {rate} p/s: in {:.2} s QEMU {qemu:.0} pages, guest {guest:.0}: {:+.1} %, {:+.0} pages",
                period.seconds,
                100.0 * (qemu / guest - 1.0),
                qemu - guest
            );
            assert!(
                (guest * (1.0 - SHARE)..=guest * (1.0 + SHARE) + OWN_PAGES).contains(&qemu),
                "{pattern} {rate}: {period:?}"
            );
        }
    }
}

/// Migrates so slowly that passes take seconds, and faster than the guest dirties.
fn migrate((program, image): (&Path, &Path), out: &Path, pattern: &str, rate: u64) {
    let sets = [
        "vm.memory=512M".to_owned(),
        "load.memory=256M".to_owned(),
        format!("load.pattern={pattern}"),
        format!("load.rate={rate}p/s"),
        "load.threads=1".to_owned(),
        "load.baseline=1s".to_owned(),
        "load.interval=100ms".to_owned(),
        "migration.bandwidth=48M/s".to_owned(),
        "migration.downtime_limit=300ms".to_owned(),
        "migration.settle=1s".to_owned(),
    ];
    let mut command = Command::new(program);
    command.args(["run", "smoke/precopy", "--accel", "tcg", "--image"]).arg(image).arg("--out").arg(out);
    command.args(sets.iter().flat_map(|set| ["--set", set]));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Every line of a file of the run directory.
fn lines(directory: &Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The periods that QEMU counted over, each a pass of its own, but for the first: there it counts from before the sync.
fn periods(directory: &Path, different: fn(f64, f64) -> f64) -> Vec<Period> {
    let writes = writes(directory);
    let (mut syncs, mut rates) = (BTreeMap::new(), BTreeMap::new());
    for line in lines(directory, "qemu.ndjson") {
        let host_ns = line["host_ns"].as_f64().unwrap();
        if let (Some("MIGRATION_PASS"), Some(pass)) = (line["event"].as_str(), line["data"]["pass"].as_u64())
        {
            syncs.insert(pass, host_ns);
        }
        let (reply, ram) = (&line["reply"], &line["reply"]["ram"]);
        if let (Some("active"), Some(pass), Some(rate)) =
            (reply["status"].as_str(), ram["dirty-sync-count"].as_u64(), ram["dirty-pages-rate"].as_f64())
        {
            // The last word on a pass: during a sync the count is raised before the rate.
            rates.insert(pass, rate);
        }
    }
    let mut periods = Vec::new();
    for pass in 3.. {
        let (Some(from), Some(to)) = (syncs.get(&(pass - 1)), syncs.get(&pass)) else { break };
        // From here on one period covers several passes.
        if to - from <= PERIOD_NS {
            break;
        }
        let Some(rate) = rates.get(&pass) else { continue };
        let seconds = (to - from) / 1e9;
        let guest_pages = different(at(&writes, *from), at(&writes, *to));
        periods.push(Period { seconds, qemu_pages: rate * seconds, guest_pages });
    }
    periods
}

/// When, by the host's clock, the guest had made how many writes. Delivery only ever adds delay: the least tells the
/// clocks apart.
fn writes(directory: &Path) -> Vec<(f64, f64)> {
    let records = lines(directory, "records.ndjson");
    let source = || records.iter().filter(|record| record["side"] == "source");
    let delay = |record: &Value| record["host_ns"].as_f64().unwrap() - record["mono_ns"].as_f64().unwrap();
    let offset_ns = source().map(delay).fold(f64::INFINITY, f64::min);
    let mut sum = 0.0;
    let intervals = source().filter(|record| record["type"] == "interval").map(|record| {
        sum += record["writes"].as_f64().unwrap();
        (record["end_ns"].as_f64().unwrap() + offset_ns, sum)
    });
    intervals.collect()
}

/// The writes made by `host_ns`, evenly between two intervals' ends.
fn at(writes: &[(f64, f64)], host_ns: f64) -> f64 {
    let next = writes.partition_point(|(end_ns, _)| *end_ns < host_ns).clamp(1, writes.len() - 1);
    let ((from_ns, from), (to_ns, to)) = (writes[next - 1], writes[next]);
    from + (to - from) * (host_ns - from_ns) / (to_ns - from_ns)
}
