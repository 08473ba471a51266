//! How many pages the program dirties for itself while a whole run works, as its own records say.
//!
//! Alone in its process: what another test writes would count too. `make bench-own` prints the figures of a release build.

use serde_json::Value;
use sully::{
    guest::{self, Options},
    plan::{MemoryAmount, Plan},
    probe::DirtyLog,
    units::{ByteSize, Nanos},
};

/// What is dirtied besides is for gaps: on a busy machine thousands of them are judged together.
const MOST_PAGES: u64 = 250;

#[test]
fn own_pages_dirtied_in_an_interval_are_few_and_in_the_records() {
    if let Err(reason) = DirtyLog::open(Vec::new()) {
        eprintln!("SKIPPED: own_pages_dirtied_in_an_interval_are_few_and_in_the_records: {reason}");
        return;
    }
    let seconds: u64 = std::env::var("SULLY_OWN_SECONDS").map_or(6, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("records.ndjson");
    let plan = Plan {
        memory: MemoryAmount::Bytes(ByteSize::mib(64)),
        threads: Some(std::env::var("SULLY_OWN_WRITERS").map_or(2, |text| text.parse().unwrap())),
        baseline: Nanos(0),
        interval: Nanos::from_ms(100),
        duration: Some(Nanos::from_secs(seconds)),
        ..Plan::default()
    };
    guest::run(&Options { plan, targets: vec![format!("file:{}", file.display()).parse().unwrap()] })
        .unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let intervals: Vec<Value> = records.filter(|record| record["type"] == "interval").collect();
    let counted: Vec<u64> =
        intervals.iter().filter_map(|interval| interval["self"]["pages_dirtied"].as_u64()).collect();
    let of = intervals.len();
    let mut sorted = counted.clone();
    sorted.sort_unstable();
    println!(
        "pages dirtied in an interval of 100 ms: {counted:?}, median {:?}, counted in {} of {of}",
        sorted.get(sorted.len() / 2),
        counted.len()
    );
    assert!(!counted.is_empty() && counted.len() as u64 <= seconds / 5 + 1, "{counted:?} of {of}");
    assert!(counted.iter().all(|pages| (1..=MOST_PAGES).contains(pages)), "{counted:?}");
}
