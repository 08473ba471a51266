//! V6 and V7: pages that come late, as in post-copy. The engine runs in this process, for the pages are this process's.

use super::alone;
use super::guest::MS;
use super::late_pages::LatePages;
use super::say::Row;
use super::stops::{Awake, is_long, seconds};
use sully::clock::{Clock, Monotonic};
use sully::diagnose::{Seen, verdicts_of};
use sully::engine::Engine;
use sully::histogram::Counts;
use sully::plan::{self, Backing, Checked, MemoryAmount, MemoryKind, Plan};
use sully::probe;
use sully::record::{Gap, Interval};
use sully::units::ByteSize;

/// Pages of the region: 2 MiB.
const PAGES: u64 = 512;

/// What a load met whose pages came late.
struct Met {
    interval: Interval,
    gaps: Vec<Gap>,
    canaries: usize,
    /// When it ended, and how long it ran.
    end_ns: u64,
    length_ns: u64,
    /// The pages that were waited for.
    late: Vec<u64>,
}

impl Met {
    /// Runs `threads` writers that take turns through all pages until the first `late` pages were all visited, or nearly.
    fn of(rate: u64, threads: u32, late: u64, delay_ns: u64) -> Result<Self, String> {
        let file = tempfile::NamedTempFile::new_in("/dev/shm").map_err(|error| error.to_string())?;
        let plan = checked(file.path(), rate, threads);
        let cpus = probe::cpus().unwrap();
        let mut engine = Engine::start(&plan, &cpus).unwrap();
        let pages = LatePages::of(file.path(), 0..late, delay_ns)?;
        let begin = engine.snapshot();
        let t0_ns = engine.open_gate();
        // A hundredth less than all: nobody comes to a page for the second time.
        let visits = late * u64::from(threads) / 100 * 99;
        while engine.snapshot().writes() < visits.min(PAGES) {
            assert_eq!(engine.failure(), None);
            Monotonic.sleep_until(Monotonic.now_ns() + MS);
        }
        let end = engine.stop();
        let late = pages.end();
        let mut gaps = Vec::new();
        engine.take_gaps(&mut gaps);
        let interval = end.interval_since(&begin, &plan, "run");
        Ok(Self {
            interval,
            gaps,
            canaries: cpus.len(),
            end_ns: end.at_ns,
            length_ns: end.at_ns - t0_ns,
            late,
        })
    }

    /// Visits that took at least so long.
    fn slow(&self, least_ns: u64) -> u64 {
        let counts = Counts::unpack(&self.interval.service_hist).unwrap();
        counts.occupied().filter(|(value_ns, _)| *value_ns >= least_ns).map(|(_, count)| count).sum()
    }
}

fn checked(path: &std::path::Path, rate: u64, threads: u32) -> Checked {
    let plan = Plan {
        memory: MemoryAmount::Bytes(ByteSize::mib(PAGES / 256)),
        kind: MemoryKind { backing: Backing::File(path.to_owned()), ..MemoryKind::default() },
        rate: format!("{rate}p/s").parse().unwrap(),
        pattern: "sequential".parse().unwrap(),
        // The sweep at the end would come to pages that no visit came to.
        verify: false,
        threads: Some(threads),
        ..Plan::default()
    };
    plan::check(&plan, &probe::machine().unwrap()).unwrap()
}

#[test]
fn v6_a_page_that_comes_late_is_a_visit_that_takes_as_long() {
    let _alone = alone();
    let _awake = Awake::start();
    let delays_us: &[u64] = if is_long() { &[0, 50, 100, 200, 500, 1000, 5000] } else { &[200, 3000] };
    for delay_us in delays_us {
        let injection = format!("userfaultfd, each page {delay_us} us late");
        let demand = "count exact, median at most 40 us more";
        let row = Row { test: "V6", injection, demand };
        let rate = 1_000_000 / (delay_us + 1000);
        let pages = seconds(128, PAGES);
        let met = match Met::of(rate, 1, pages, delay_us * 1000) {
            Ok(met) => met,
            Err(why) => return row.skipped(&why),
        };
        let (visits, late) = (met.interval.writes, met.late.len() as u64);
        let median_us = met.interval.service_ns.p50.unwrap() as f64 / 1000.0;
        let more = median_us - *delay_us as f64;
        // A quantile is read to two digits, which at 5 ms is as much as the demand.
        let read_us = *delay_us as f64 * 0.008;
        let note = format!("more than the delay, median of {visits} visits; {late} pages were late");
        row.got(more, "us", &note, visits == late && (0.0..=40.0 + read_us).contains(&more));
        assert!(visits.abs_diff(late) <= 1 && more >= -1.0, "{visits} visits, {late} late, {more} us");
    }
}

#[test]
fn v7_pages_late_for_one_writer_of_four_hold_up_no_other_and_no_cpu() {
    let _alone = alone();
    let row = Row {
        test: "V7",
        injection: "userfaultfd, each page of one writer of four 3 ms late".into(),
        demand: "as many slow visits as late pages (1 %), no common gap",
    };
    let met = match Met::of(600, 4, PAGES / 4, 3 * MS) {
        Ok(met) => met,
        Err(why) => return row.skipped(&why),
    };
    let (slow, late) = (met.slow(2_950_000), met.late.len() as u64);
    let seen = Seen {
        end_ns: met.end_ns,
        length_ns: met.length_ns,
        canaries: met.canaries,
        gaps: &met.gaps,
        ..Seen::default()
    };
    let common = verdicts_of(&seen).iter().filter(|verdict| verdict.common).count();
    let ratio = 100.0 * slow as f64 / late.max(1) as f64;
    let longest_ms = met.gaps.iter().map(|gap| gap.len_ns).max().unwrap_or(0) as f64 / MS as f64;
    let note = format!(
        "{slow} slow visits for {late} late pages; {common} of {} gaps common, the longest {longest_ms:.1} ms",
        met.gaps.len()
    );
    row.got(ratio, "%", &note, (ratio - 100.0).abs() <= 1.0 && common == 0);
    assert!(slow + 1 >= late, "{note}");
}
