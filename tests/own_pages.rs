//! How many pages the program dirties for itself while a whole run works, as its own records say to a host that reads them.
//!
//! `make bench-own` prints the figures of a release build, with two writers and with one, over more and less memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixListener,
    process::Command,
    time::Duration,
};
use sully::probe::DirtyLog;

/// What is dirtied besides is for gaps: on a busy machine thousands of them are judged together.
const MOST_PAGES: u64 = 250;
/// A program that does not come to report is not waited for longer.
const READ_LIMIT: Duration = Duration::from_mins(1);

#[test]
fn own_pages_dirtied_in_an_interval_are_few_and_in_the_records() {
    if let Err(reason) = DirtyLog::open(Vec::new()) {
        eprintln!("SKIPPED: own_pages_dirtied_in_an_interval_are_few_and_in_the_records: {reason}");
        return;
    }
    let told = |name, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seconds, writers) = (told("SULLY_OWN_SECONDS", 6), told("SULLY_OWN_WRITERS", 2));
    let mib = told("SULLY_OWN_MIB", 64);
    let intervals = intervals(seconds, writers, mib);
    let mut counted: Vec<u64> =
        intervals.iter().filter_map(|interval| interval["self"]["pages_dirtied"].as_u64()).collect();
    let (of, all) = (intervals.len(), format!("{counted:?}"));
    counted.sort_unstable();
    let median = counted.get(counted.len() / 2);
    println!(
        "{writers} writers, {mib} MiB, pages dirtied in an interval of 100 ms: {all}, median {median:?}, counted in {} of {of}",
        counted.len()
    );
    assert!(!counted.is_empty() && counted.len() as u64 <= seconds / 5 + 1, "{all} of {of}");
    assert!(counted.iter().all(|pages| (1..=MOST_PAGES).contains(pages)), "{all}");
}

/// All intervals of a run at 100 MiB/s, as its host reads them.
fn intervals(seconds: u64, writers: u64, mib: u64) -> Vec<Value> {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("host");
    let listener = UnixListener::bind(&socket).unwrap();
    let line = format!(
        "run -m {mib}M -r 100M/s -t {writers} --baseline 0s -i 100ms -d {seconds}s --report unix:{}",
        socket.display()
    );
    let mut program =
        Command::new(env!("CARGO_BIN_EXE_sully")).args(line.split_whitespace()).spawn().unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(READ_LIMIT)).unwrap();
    let records = BufReader::new(stream).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()));
    let intervals = records.map(Result::unwrap).filter(|record| record["type"] == "interval").collect();
    assert!(program.wait().unwrap().success());
    intervals
}
