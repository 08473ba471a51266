//! Records made of two snapshots.

mod regions;

use super::*;
use crate::{
    plan::{self, Machine, Plan},
    units::Rate,
};

fn checked(rate: Rate) -> Checked {
    let plan = Plan { rate, ..Plan::default() };
    plan::check(&plan, &Machine { available_bytes: 1 << 30, cpus: 2, stock: plan::Stock::default() }).unwrap()
}

fn snapshot(at_ns: u64, visits: &[u64], due: Due) -> Snapshot {
    scheduled(at_ns, visits, due, "10p/s")
}

fn scheduled(at_ns: u64, visits: &[u64], due: Due, rate: &str) -> Snapshot {
    let mut service = Counts::default();
    for value in visits {
        service.record_n(*value, 1);
    }
    Snapshot {
        at_ns,
        t0_ns: None,
        epoch: 0,
        writes: service.count() * 2,
        reads: service.count() * 3,
        stamps: None,
        latencies: Latencies { response: service.clone(), service },
        due,
        asked: Course::new(0, checked(rate.parse().unwrap()).load()).asked_by(at_ns),
        open_ns: None,
        gaps: Some(GapCounts::default()),
        steal_ms: Some(at_ns / 10),
        callbacks: None,
        own_cpu_ns: at_ns / 100,
        lost: TimeByClass::default(),
        throttle: None,
        regions: Vec::new(),
        cpus: Vec::new(),
        own_pages_dirtied: None,
        clock_step_ns: 0,
    }
}

#[test]
fn an_interval_holds_what_came_between() {
    let plan = checked(Rate::PagesPerSecond(10));
    let earlier = snapshot(1000, &[5, 6], Due { offered: 2, missed: 0, backlog: 0 });
    let later = snapshot(3000, &[5, 6, 70, 80, 90], Due::new(9, 3, 2));
    let interval = later.interval_since(&earlier, &plan, "run");
    assert_eq!((interval.start_ns, interval.end_ns, interval.writes), (1000, 3000, 6));
    assert_eq!(interval.reads, 9);
    assert_eq!((interval.offered, interval.missed, interval.backlog), (Some(7), Some(2), Some(4)));
    assert_eq!((interval.service_ns.count, interval.service_ns.p50), (3, Some(80)));
    assert_eq!(Counts::unpack(&interval.service_hist).unwrap().count(), 3);
    assert_eq!((interval.steal_ms, interval.self_cost.cpu_ns), (Some(200), 20));
    assert_eq!((interval.phase.as_str(), interval.target_pages_per_s), ("run", Some(10)));
}

#[test]
fn own_pages_count_for_the_interval_they_were_counted_in_alone() {
    let plan = checked(Rate::PagesPerSecond(10));
    let [first, second, mut third] = [0, 1, 2]
        .map(|epoch| Snapshot { epoch, ..snapshot(1000 * u64::from(epoch + 1), &[], Due::default()) });
    third.own_pages_dirtied = Some(60);
    let told = |earlier| third.interval_since(earlier, &plan, "run").self_cost.pages_dirtied;
    assert_eq!((told(&second), told(&first)), (Some(60), None));
}

#[test]
fn offered_is_done_and_missed_and_backlog_for_writers_ahead_and_behind() {
    let mut due = Due::new(10, 12, 0);
    assert_eq!(due, Due { offered: 12, missed: 0, backlog: 0 });
    due.add(Due::new(10, 4, 1));
    assert_eq!(due, Due { offered: 22, missed: 1, backlog: 5 });
}

#[test]
fn the_time_elapsed_begins_with_the_schedule() {
    let before = snapshot(1000, &[], Due::default());
    let after = Snapshot { t0_ns: Some(1500), ..snapshot(4000, &[5], Due::default()) };
    assert_eq!(after.end(&before, EndReason::Stop, None, 0).totals.elapsed_ns, 2500);
    let later = Snapshot { t0_ns: Some(1500), ..snapshot(2000, &[], Due::default()) };
    assert_eq!(after.end(&later, EndReason::Stop, None, 0).totals.elapsed_ns, 2000);
}

#[test]
fn without_a_schedule_nothing_is_offered_missed_or_behind() {
    let plan = checked(Rate::Max);
    let (earlier, later) =
        (scheduled(1000, &[], Due::default(), "max"), scheduled(3000, &[5], Due::new(0, 1, 0), "max"));
    let interval = later.interval_since(&earlier, &plan, "run");
    assert_eq!((interval.offered, interval.missed, interval.backlog), (None, None, None));
    let totals = later.end(&earlier, EndReason::Stop, None, 0).totals;
    assert_eq!((totals.offered, totals.missed, totals.backlog), (None, None, None));
}

#[test]
fn intervals_add_up_to_the_end_however_they_are_cut() {
    let plan = checked(Rate::PagesPerSecond(10));
    let points: Vec<Snapshot> = (0..5usize)
        .map(|n| snapshot(n as u64 * 1000, &[10, 200, 3000, 40_000][..n], Due::new(n as u64, n as u64, 0)))
        .collect();
    let end = points[4].end(&points[0], EndReason::Duration, None, 3);
    let intervals = points.windows(2).map(|pair| pair[1].interval_since(&pair[0], &plan, "run"));
    let (writes, offered) = intervals.fold((0, 0), |(writes, offered), interval| {
        (writes + interval.writes, offered + interval.offered.unwrap())
    });
    assert_eq!((writes, Some(offered)), (end.totals.writes, end.totals.offered));
    assert_eq!((writes, end.totals.reads), (8, 12));
    assert_eq!((end.totals.elapsed_ns, end.records_dropped), (4000, 3));
    let merged = points[4].interval_since(&points[1], &plan, "run");
    assert_eq!((merged.writes, merged.reads), (6, 9));
}

#[test]
fn a_clock_that_became_coarse_within_an_interval_tells_no_latency_below_its_step() {
    let plan = checked(Rate::PagesPerSecond(10));
    let earlier = snapshot(1000, &[], Due::default());
    let mut later = snapshot(3000, &[900, 900, 40_000_000], Due::new(3, 3, 0));
    later.clock_step_ns = 4_000_000;
    for (now, then) in
        [(&later, &earlier), (&snapshot(3000, &[900, 900, 40_000_000], Due::new(3, 3, 0)), &later)]
    {
        let then = Snapshot { clock_step_ns: then.clock_step_ns, ..earlier.clone() };
        let told = now.interval_since(&then, &plan, "run").service_ns;
        assert_eq!((told.count, told.p50), (3, None));
        assert!(told.max.is_some_and(|max_ns| max_ns >= 40_000_000), "{told:?}");
    }
    let end = later.end(&earlier, EndReason::Stop, None, 0);
    assert_eq!(end.response_ns.p50, None);
}
