//! How many different pages an interval wrote, from outside: the closed forms beside the counts of the records.

use super::{intervals, records, spawn, sully};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sully::clock::{Clock, Monotonic};

/// Writes and different pages of each whole interval of a run by one writer. The last one is cut off by the end.
fn counts(load: &str) -> Vec<(u64, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    sully(&format!("run {load} -t 1 --baseline 0s --report file:{}", path.display())).assert().success();
    let records = records(&path);
    let counts: Vec<(u64, u64)> = intervals(&records)
        .iter()
        .map(|interval| (interval.writes, interval.pages_unique.unwrap()))
        .collect();
    counts[..counts.len() - 1].to_vec()
}

#[test]
fn random_visits_meet_as_many_different_pages_as_the_formula_says() {
    let pages = 32_768_f64;
    // A third, one, and four visits to a page.
    for (load, least) in
        [("-r 20000p/s -i 500ms -d 3s", 5), ("-r 32768p/s -i 1s -d 4s", 3), ("-r 60000p/s -i 2s -d 6s", 2)]
    {
        let counts = counts(&format!("-m 128M -p random {load}"));
        assert!(counts.len() >= least, "{load}: {counts:?}");
        for (writes, unique) in counts {
            let expected = pages * (1.0 - (1.0 - 1.0 / pages).powf(writes as f64));
            let ratio = unique as f64 / expected;
            assert!((ratio - 1.0).abs() < 0.02, "{load}: {unique} pages of {writes} visits, not {expected}");
        }
    }
}

#[test]
fn a_sequence_meets_another_page_with_every_visit_until_it_has_met_all() {
    // Eight intervals to a lap: they lie across its ends, too.
    for (writes, unique) in counts("-m 16M -p sequential -r 5120p/s -i 100ms -d 3s") {
        assert_eq!(unique, writes.min(4096));
    }
}

#[test]
fn a_shuffle_meets_another_page_with_every_visit_of_a_lap_and_across_laps_as_many_as_the_formula_says() {
    let (pages, mut past, mut within) = (4096, 0, 0);
    for (writes, unique) in counts("-m 16M -p shuffle -r 5120p/s -i 100ms -d 4s") {
        let of_lap = (pages - past % pages).min(writes);
        let of_next = writes - of_lap;
        past += writes;
        if of_next == 0 {
            assert_eq!(unique, writes);
            within += 1;
        } else if of_next <= pages {
            // The pages of the next lap know nothing of those of this one: of those written before, a share is met again.
            let expected = writes as f64 - of_lap as f64 * of_next as f64 / pages as f64;
            let spread = (of_lap.min(of_next) as f64).sqrt();
            assert!(
                (unique as f64 - expected).abs() <= 5.0 * spread + 2.0,
                "{unique} pages of {of_lap} and {of_next} visits, not {expected}"
            );
        }
    }
    assert!(within >= 20, "{within} intervals lay within a lap");
}

#[test]
fn an_interval_of_a_lap_and_more_meets_all_pages() {
    for pattern in ["sequential", "shuffle"] {
        // Two laps and a half: one of them is whole wherever the interval begins.
        let counts = counts(&format!("-m 4M -p {pattern} -r 5120p/s -i 500ms -d 4s"));
        // Visits made while a snapshot is taken count here and belong there; a machine that takes the snapshot's thread
        // away in the midst of it makes them many. The engine's own tests, with writers at rest, are exact.
        assert!(counts.iter().any(|(_, unique)| *unique == 1024), "{pattern}: {counts:?}");
        let near = counts.iter().filter(|(_, unique)| (1024 * 98 / 100..=1024).contains(unique)).count();
        assert!(near * 2 > counts.len(), "{pattern}: {counts:?}");
        assert!(counts.iter().all(|(_, unique)| *unique <= 1024), "{pattern}: {counts:?}");
    }
}

#[test]
fn an_interval_around_a_stop_tells_its_different_pages_as_every_other_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let sleep = |span_us: u64| Monotonic.sleep_until(Monotonic.now_ns() + span_us * 1000);
    let load = "run -m 16M -r 5000p/s -p random -t 1 --baseline 0s -i 20ms -d 8s --report";
    let mut child = spawn(&format!("{load} file:{}", path.display()));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    while !std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\"interval\"")) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its first interval");
        sleep(10_000);
    }
    // When it goes on an interval is due at once: many a stop falls into the look that ends it.
    for stop in 0..60 {
        kill(pid, Signal::SIGSTOP).unwrap();
        sleep(60_000);
        kill(pid, Signal::SIGCONT).unwrap();
        sleep(50 + stop * 60);
    }
    assert!(child.wait().unwrap().success());
    let records = records(&path);
    let intervals = intervals(&records);
    let long = intervals.iter().filter(|interval| interval.end_ns - interval.start_ns > 50_000_000).count();
    let untold = intervals.iter().filter(|interval| interval.pages_unique.is_none()).count();
    assert_eq!(untold, 0, "of {} intervals, {long} of them around stops", intervals.len());
    assert!(long >= 5, "{long} intervals around stops");
}
