//! The count of different pages against the kernel's log of them, for every pattern and to the last page.
//!
//! Between intervals the writers rest: a visit under way while the log is read would belong to either side.

use super::{Engine, Snapshot, Writer};
use crate::{
    clock::{Clock, Monotonic},
    plan::{self, Checked, MemoryAmount, Plan},
    probe::{self, DirtyLog},
    record::Interval,
    units::{ByteSize, PAGE_BYTES},
};
use std::{fs::File, os::unix::fs::FileExt};

const PAGES: u64 = 2048;

/// A load whose intervals are watched by the kernel.
struct Watched {
    plan: Checked,
    engine: Engine,
    log: DirtyLog,
    last: Snapshot,
    changes: u32,
}

impl Watched {
    /// None, and said aloud, where the kernel has no such log.
    fn start(test: &str, (rate, pattern, reads): (&str, &str, &str)) -> Option<Self> {
        let plan = Plan {
            memory: MemoryAmount::Bytes(ByteSize::mib(PAGES / 256)),
            rate: rate.parse().unwrap(),
            pattern: pattern.parse().unwrap(),
            reads: reads.parse().unwrap(),
            threads: Some(2),
            ..Plan::default()
        };
        let plan = plan::check(&plan, &probe::machine().unwrap()).unwrap();
        let engine = Engine::start(&plan, &probe::cpus().unwrap()).unwrap();
        match DirtyLog::open(engine.regions.ranges()) {
            Ok(log) => {
                let last = engine.snapshot();
                Some(Self { plan, engine, log, last, changes: 0 })
            }
            Err(reason) => {
                eprintln!("SKIPPED: {test}: no log of written pages here: {reason}");
                None
            }
        }
    }

    /// Lets the writers run until they have made so many more visits that write, and waits until they rest.
    fn run(&mut self, writes: u64) {
        let enough = self.last.writes() + writes;
        if self.changes == 0 {
            self.engine.open_gate();
        } else {
            self.change(self.plan.load());
        }
        // A snapshot would begin another interval.
        let done =
            |writers: &[Writer]| writers.iter().map(|writer| writer.tally.counts().writes).sum::<u64>();
        self.wait_for(|engine| done(&engine.writers) >= enough);
        self.change(self.plan.load().paused());
        let changes = self.changes;
        self.wait_for(|engine| {
            engine.writers.iter().all(|writer| writer.status.taken_up().changes == changes)
        });
    }

    fn wait_for(&self, is_so: impl Fn(&Engine) -> bool) {
        while !is_so(&self.engine) {
            assert_eq!(self.engine.failure(), None);
            Monotonic.sleep_until(Monotonic.now_ns() + 500_000);
        }
    }

    fn change(&mut self, load: plan::Load) {
        self.engine.change(load).unwrap();
        self.changes += 1;
    }

    /// The interval that ends now, and the pages that the kernel saw written in it.
    fn interval(&mut self) -> (Interval, Vec<u64>) {
        let (base, mut written) = (self.engine.regions.base(), Vec::new());
        let number = |address: u64| (address - base) / PAGE_BYTES;
        self.log.take(|run| written.extend(number(run.start)..number(run.end))).unwrap();
        let now = self.engine.snapshot();
        let interval = now.interval_since(&self.last, &self.plan, "run");
        self.last = now;
        (interval, written)
    }
}

/// Five intervals of different lengths at a rate of 20 visits to a page a second, five without a schedule, and the same
/// with visits that only read: those write no page.
fn agrees_with_the_kernel(test: &str, pattern: &str) {
    let mut partial = 0;
    for (rate, reads) in [("40000p/s", "0%"), ("40000p/s", "25%"), ("max", "0%"), ("max", "25%")] {
        let Some(mut watched) = Watched::start(test, (rate, pattern, reads)) else { return };
        for writes in [200, 600, 1_000, 3_000, 50] {
            watched.run(writes);
            let (interval, written) = watched.interval();
            let unique = interval.pages_unique.unwrap();
            assert_eq!(
                unique,
                written.len() as u64,
                "{pattern} {rate}, reads {reads}: {} visits wrote",
                interval.writes
            );
            assert!(interval.writes >= writes && (interval.reads > 0) == (reads != "0%"), "{interval:?}");
            partial += u32::from(unique < PAGES);
        }
    }
    assert!(partial >= 4, "{pattern}: an interval in which all pages are written proves little");
}

#[test]
fn a_sequence_is_counted_as_the_kernel_counts_it() {
    agrees_with_the_kernel("a_sequence_is_counted_as_the_kernel_counts_it", "sequential");
}

#[test]
fn a_shuffle_is_counted_as_the_kernel_counts_it() {
    agrees_with_the_kernel("a_shuffle_is_counted_as_the_kernel_counts_it", "shuffle");
}

#[test]
fn random_visits_are_counted_as_the_kernel_counts_them() {
    agrees_with_the_kernel("random_visits_are_counted_as_the_kernel_counts_them", "random");
}

#[test]
fn visits_by_zipfs_law_are_counted_as_the_kernel_counts_them() {
    agrees_with_the_kernel("visits_by_zipfs_law_are_counted_as_the_kernel_counts_them", "zipf:0.99");
}

#[test]
fn a_hotspot_is_counted_as_the_kernel_counts_it() {
    agrees_with_the_kernel("a_hotspot_is_counted_as_the_kernel_counts_it", "hotspot:10%/90%");
}

#[test]
fn a_stride_is_counted_as_the_kernel_counts_it() {
    agrees_with_the_kernel("a_stride_is_counted_as_the_kernel_counts_it", "stride:7");
}

#[test]
fn one_store_behind_the_writers_backs_is_in_the_kernels_log_and_not_in_the_count() {
    let test = "one_store_behind_the_writers_backs_is_in_the_kernels_log_and_not_in_the_count";
    let Some(mut watched) = Watched::start(test, ("1000p/s", "sequential", "0%")) else { return };
    watched.run(20);
    // The last page of the last slice is a second away; behind its stamp nobody looks.
    let memory = File::options().write(true).open("/proc/self/mem").unwrap();
    let place = watched.engine.regions.base() + (PAGES - 1) * 4096 + 4000;
    memory.write_all_at(&[1], place).unwrap();
    let (interval, written) = watched.interval();
    assert_eq!(written.last(), Some(&(PAGES - 1)));
    assert_eq!(interval.pages_unique.unwrap() + 1, written.len() as u64);
    let (interval, written) = watched.interval();
    assert_eq!((interval.pages_unique, written.len()), (Some(0), 0), "at rest nothing is written");
}

#[test]
fn exactly_so_many_pages_are_dirtied_as_the_kernel_counts_them_whatever_the_pattern() {
    let test = "exactly_so_many_pages_are_dirtied_as_the_kernel_counts_them_whatever_the_pattern";
    for pattern in ["random", "sequential"] {
        let Some(mut watched) = Watched::start(test, ("40000p/s", pattern, "25%")) else { return };
        watched.run(200);
        watched.interval();
        let mut all = 0;
        for (pages, times) in [1, 2, 777, PAGES - 1, PAGES, 64].into_iter().zip(1..) {
            watched.engine.dirty(pages);
            watched.wait_for(|engine| engine.dirtied().0 == times);
            all += pages;
            assert_eq!(watched.engine.dirtied(), (times, all));
            let (interval, written) = watched.interval();
            let counted = (interval.writes, interval.pages_unique.unwrap(), written.len() as u64);
            assert_eq!(counted, (pages, pages, pages), "{pattern}");
            assert_eq!((interval.reads, interval.missed, interval.backlog), (0, Some(0), Some(0)));
        }
        let (interval, written) = watched.interval();
        assert_eq!((interval.writes, written.len()), (0, 0), "then all is still");
        watched.run(100);
        let (interval, _) = watched.interval();
        let is_a_lap = pattern == "sequential" && interval.writes <= PAGES / 2;
        assert!(interval.writes >= 100, "and a load comes back");
        assert!(!is_a_lap || interval.pages_unique == Some(interval.writes), "anew: {interval:?}");
    }
}
