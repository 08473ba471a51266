//! V14, V18 and the sum: what one stop does to the two latencies, what we cost, and that no time is lost or told twice.

use super::guest::{Guest, MS, Report, SECOND};
use super::say::{Row, median};
use super::stops::{is_long, periodic, qemu_law, seconds, span, stop};
use super::{alone, stopped};
use sully::clock::{Clock, Monotonic};
use sully::histogram::Counts;
use sully::pace::BEAT_NS;

#[test]
fn v14_a_stop_is_in_the_response_of_what_it_delayed_and_in_no_service() {
    let _alone = alone();
    let catch_ups: &[u64] = if is_long() { &[4, 100] } else { &[100] };
    for catch_up in catch_ups {
        v14(*catch_up);
    }
}

fn v14(catch_up: u64) {
    let guest = Guest::start(&format!("-r 10000p/s -t 1 -i 200ms -d 10s --catch-up {catch_up}"));
    let stops = stop(guest.pid(), vec![(4 * SECOND, SECOND)]);
    let report = guest.end();
    let (stop, end) = (&stops[0], &report.end);
    let before = report.intervals.iter().filter(|interval| interval.end_ns < stop.from_ns);
    let mut usual = Counts::default();
    before.for_each(|interval| usual.add(&Counts::unpack(&interval.service_hist).unwrap()));
    let usual_us = usual.quantile(0.99).unwrap() as f64 / 1000.0;
    let service_us = end.service_ns.p99.unwrap() as f64 / 1000.0;
    let response_ms = end.response_ns.p99.unwrap() as f64 / 1e6;
    // The backlog is gone after a share of the time it took: a visit gains as much on its schedule while it waits.
    let (stop_ms, window_ms) = ((stop.to_ns - stop.from_ns) as f64 / 1e6, end.totals.elapsed_ns as f64 / 1e6);
    let law_ms = stop_ms - 0.01 * window_ms * (1.0 - 1.0 / catch_up as f64);
    let injection = format!("SIGSTOP of 1 s in 10 s, 10000 pages/s, --catch-up {catch_up}");
    let row = Row {
        test: "V14",
        injection,
        demand: "response p99 0.90 s within 3 %, service p99 below 10 times, none missed",
    };
    let missed = end.totals.missed;
    let note = format!(
        "response p99 ({law_ms:.0} by the closed form); service p99 {service_us:.1} us, before {usual_us:.1}; missed {}",
        missed.unwrap_or(0)
    );
    let in_time = (response_ms / 900.0 - 1.0).abs() <= 0.03;
    row.got(response_ms, "ms", &note, in_time && service_us < 10.0 * usual_us && missed == Some(0));
    assert!((response_ms / law_ms - 1.0).abs() <= 0.15, "{note}");
}

#[test]
fn v18_a_canary_costs_little_more_than_a_thread_that_sleeps_as_often() {
    let _alone = alone();
    // In turn, so that a machine busy with something else makes both dear.
    let (mut ratios, mut canaries, mut sleepers) = (Vec::new(), Vec::new(), Vec::new());
    let mut own_pages = Vec::new();
    let rounds = seconds(3, 5);
    for _ in 0..rounds {
        let (canary, report) = canary_cost(seconds(3, 10));
        let sleeper = sleeper_cost(seconds(2, 6));
        ratios.push(canary / sleeper);
        canaries.push(canary);
        sleepers.push(sleeper);
        own_pages.extend(report.intervals.iter().filter_map(|one| one.self_cost.pages_dirtied));
    }
    let ratio = median(&ratios).unwrap();
    let injection = format!("nothing; canaries and a thread that sleeps as often, {rounds} times in turn");
    let row =
        Row { test: "V18", injection, demand: "a canary takes at most 1.3 times what the thread takes" };
    let note = format!(
        "the median of {ratios:.2?}; canaries {:.2} % of a CPU, the thread {:.2} %",
        median(&canaries).unwrap(),
        median(&sleepers).unwrap()
    );
    row.got(ratio, "times", &note, ratio <= 1.3);
    // No noise makes a canary dearer by half three times, or cost nothing.
    assert!((0.3..=1.6).contains(&ratio), "{note}");
    let row = Row {
        test: "V18",
        injection: "nothing; pages dirtied by the program itself".into(),
        demand: "at most 1 % of those generated, or 64 an interval",
    };
    let own: Vec<f64> = own_pages.into_iter().map(|pages| pages as f64).collect();
    match median(&own) {
        Some(pages) => row.got(pages, "pages", "an interval of 1 s, the median", pages <= 64.0),
        None => row.none("the program does not count them"),
    }
}

/// What a canary of a guest that is left alone takes of its CPU, in percent, the mean of all; and the guest's report.
fn canary_cost(run_s: u64) -> (f64, Report) {
    let guest = Guest::start(&format!("-r 2000p/s -t 1 -i 1s -d {}s", run_s + 1));
    let threads = guest.threads().into_iter();
    let canaries: Vec<u32> =
        threads.filter(|(_, name)| name.starts_with("canary")).map(|(id, _)| id).collect();
    assert!(!canaries.is_empty(), "the guest has no canaries");
    let ran_ns = || -> u64 {
        let stat = |id| {
            let path = format!("/proc/{}/task/{id}/schedstat", guest.pid());
            std::fs::read_to_string(path).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap()
        };
        canaries.iter().map(stat).sum()
    };
    let (begin_ns, before) = (Monotonic.now_ns(), ran_ns());
    Monotonic.sleep_until(begin_ns + span(run_s));
    let (end_ns, after) = (Monotonic.now_ns(), ran_ns());
    let cost = 100.0 * (after - before) as f64 / (end_ns - begin_ns) as f64 / canaries.len() as f64;
    (cost, guest.end())
}

/// What a thread takes of its CPU here that does nothing but sleep as often as a canary, in percent.
fn sleeper_cost(run_s: u64) -> f64 {
    let ran_ns = || {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        stat.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let (begin_ns, before) = (Monotonic.now_ns(), ran_ns());
    let mut now_ns = begin_ns;
    while now_ns < begin_ns + span(run_s) {
        Monotonic.sleep_until(now_ns + BEAT_NS);
        now_ns = Monotonic.now_ns();
    }
    100.0 * (ran_ns() - before) as f64 / (now_ns - begin_ns) as f64
}

#[test]
fn classes_and_running_time_add_up_to_the_time_that_passed() {
    let _alone = alone();
    let (sleep_ns, period_ns) = qemu_law(50);
    let (report, stops) = stopped(seconds(5, 12), periodic(sleep_ns, period_ns, span(seconds(3, 10))));
    let told = report.intervals.iter().flat_map(|interval| interval.stall_ms.iter().flatten());
    let told_ms: u64 = told.map(|(_, ms)| ms).sum();
    let canaries = report.hello.cpus.len() as u64;
    let true_ms = stops.iter().map(|stop| stop.to_ns - stop.from_ns).sum::<u64>() * canaries / MS;
    let span_ns = report.intervals[report.intervals.len() - 1].end_ns - report.intervals[0].start_ns;
    let wall_ms = span_ns * canaries / MS;
    let gaps_ms =
        report.intervals.iter().filter_map(|one| one.gaps).map(|gaps| gaps.total_ns).sum::<u64>() / MS;
    let off = 100.0 * told_ms.abs_diff(true_ms) as f64 / wall_ms as f64;
    let row = Row {
        test: "sum",
        injection: "SIGSTOP by QEMU's law, 50 %".into(),
        demand: "classes and running time within 1 % of the time that passed",
    };
    let note = format!(
        "off: {told_ms} ms by class, {gaps_ms} ms in gaps, {true_ms} ms injected, of {wall_ms} ms in all"
    );
    row.got(off, "%", &note, off <= 1.0);
    assert!(off <= 5.0, "{note}");
}
