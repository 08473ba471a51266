//! A run of a day: its directory opens within memory that its intervals bound, and not their histograms or their text.
//!
//! `SULLY_TEST_LONG=1` makes one of a whole day, ten intervals a second; otherwise it is a fiftieth of that.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use sully::histogram::Counts;

const SECOND_NS: u64 = 1_000_000_000;
const DAY_INTERVALS: u64 = 864_000;
/// What the program takes without records, and what it may take for an interval and the other records that come with it: a
/// day in less than half a GiB, where its records are more than a GiB.
const MEMORY_BYTES: u64 = 48 << 20;
const INTERVAL_BYTES: u64 = 500;

fn is_long() -> bool {
    std::env::var_os("SULLY_TEST_LONG").is_some()
}

/// A golden record of this type.
fn golden(file: &str, type_name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.find(|line| line["type"] == type_name).unwrap()
}

/// Records of so many intervals, ten a second, with four gaps of two canaries and a heartbeat a second; how many
/// bytes they are.
fn write_records(path: &Path, intervals: u64) -> u64 {
    let (mut interval, mut gap, mut heartbeat) = (
        golden("records-diagnosis.ndjson", "interval"),
        golden("records-diagnosis.ndjson", "gap"),
        golden("records.ndjson", "heartbeat"),
    );
    let mut counts = Counts::default();
    (1..200).for_each(|value| counts.record_n(value * 97, value));
    (interval["service_hist"], interval["response_hist"]) = (counts.pack().into(), counts.pack().into());
    let mut file = BufWriter::new(File::create(path).unwrap());
    let (mut bytes, mut seq) = (0, 0u64);
    let mut write = |record: &mut Value, at_ns: u64, side: &str| {
        record["seq"] = seq.into();
        record["mono_ns"] = at_ns.into();
        record["host_ns"] = (at_ns + 5 * SECOND_NS).into();
        record["side"] = side.into();
        let line = serde_json::to_vec(record).unwrap();
        file.write_all(&line).unwrap();
        file.write_all(b"\n").unwrap();
        seq += 1;
        bytes += line.len() as u64 + 1;
    };
    for step in 1..=intervals {
        let end_ns = step * SECOND_NS / 10;
        let side = if step < 600 { "source" } else { "destination" };
        if step.is_multiple_of(10) {
            for cpu in 0..4 {
                gap["cpu"] = (cpu % 2).into();
                gap["start_ns"] = (end_ns - SECOND_NS / 20 + cpu * 1_000_000).into();
                gap["len_ns"] = 3_000_000.into();
                write(&mut gap, end_ns, side);
            }
            write(&mut heartbeat, end_ns, side);
        }
        interval["start_ns"] = (end_ns - SECOND_NS / 10).into();
        interval["end_ns"] = end_ns.into();
        write(&mut interval, end_ns, side);
    }
    bytes
}

fn run_json() -> Value {
    let at = |name: &str, s: u64| json!({ "name": name, "host_ns": (5 + s) * SECOND_NS });
    json!({
        "schema": 1, "name": "long", "scenario": {}, "provenance": {}, "clock": { "mono_ns": 1, "real_ns": 2 },
        "verdict": { "outcome": "passed", "reasons": [] }, "stream": {}, "source": {}, "destination": null,
        "milestones": [at("boot", 0), at("hello", 0), at("steady", 40), at("migrate", 50), at("stop", 60),
            at("resume", 60), at("completed", 61), at("settled", 70)],
    })
}

#[test]
fn a_run_of_a_day_opens_in_memory_that_its_intervals_bound() {
    let dir = tempfile::tempdir().unwrap();
    let intervals = if is_long() { DAY_INTERVALS } else { DAY_INTERVALS / 50 };
    let bytes = write_records(&dir.path().join("records.ndjson"), intervals);
    std::fs::write(dir.path().join("run.json"), run_json().to_string()).unwrap();
    std::fs::write(dir.path().join("qemu.ndjson"), "").unwrap();
    let program = env!("CARGO_BIN_EXE_sully-lab");
    let output = Command::new(program).arg("report").arg(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let peak_bytes = u64::try_from(getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss()).unwrap() << 10;
    println!("{} MiB of records: at most {} MiB of memory", bytes >> 20, peak_bytes >> 20);
    assert!(
        peak_bytes < MEMORY_BYTES + intervals * INTERVAL_BYTES,
        "{bytes} bytes of records took {peak_bytes}"
    );
}
