//! What the guest program says of injected faults, held against the injection itself: no hypervisor is needed.
//!
//! Each test prints its demand and its figure in one line, `V1 p=50: demand ..., got ..., held`, which `make fidelity`
//! gathers. That is where the demands are judged: here, on a machine that others use too, only what no noise explains
//! fails. `SULLY_FIDELITY=long` asks for the long forms.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "fidelity/guest.rs"]
mod guest;
#[path = "fidelity/quota.rs"]
mod quota;
#[path = "fidelity/stops.rs"]
mod stops;

use guest::{Guest, MS, Report, SECOND, median};
use nix::fcntl::{Flock, FlockArg};
use quota::Quota;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use stops::{Load, Stop, is_long, kept_time, periodic, qemu_law, random, seconds, span, stop};
use sully::clock::{Clock, Monotonic};
use sully::record::GapClass;

/// One injection at a time, in whatever process: two would disturb each other.
fn alone() -> Flock<File> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fidelity.lock");
    Flock::lock(File::create(path).unwrap(), FlockArg::LockExclusive).map_err(|(_, error)| error).unwrap()
}

/// The line that `make fidelity` gathers.
fn say(test: &str, demand: &str, got: &str, held: bool) {
    println!("{test}: demand {demand}, got {got}, {}", if held { "held" } else { "missed" });
}

/// A guest that runs for `run_s`, stopped as planned; the stops as they were done.
fn stopped(run_s: u64, plan: Vec<(u64, u64)>) -> (Report, Vec<Stop>) {
    let guest = Guest::start(&format!("-r 2000p/s -t 2 -i 1s -d {run_s}s"), false);
    let stops = stop(guest.pid(), plan);
    (guest.end(), stops)
}

/// Throttles told of a rhythm of stops: in intervals that lie wholly under it. None when the rhythm was not kept.
fn told_of_rhythm(test: &str, sleep_ns: u64, period_ns: u64, run_s: u64) -> Option<(Vec<f64>, usize)> {
    let (report, stops) = stopped(run_s + 2, periodic(sleep_ns, period_ns, span(run_s)));
    if !kept_time(&stops, period_ns) {
        println!("SKIPPED: {test}: this machine is too busy to stop a process in time");
        return None;
    }
    // A window of 3 s is needed above 90 %.
    let settle_ns = if period_ns > 100 * MS { 2 * SECOND } else { 0 };
    let (from_ns, until_ns) = (stops.first()?.from_ns + settle_ns, stops.last()?.to_ns + 100 * MS);
    Some((report.throttles(from_ns, until_ns), report.windows(from_ns, until_ns)))
}

#[test]
fn v1_a_throttle_by_qemus_law_is_told_within_a_point() {
    let _alone = alone();
    let percents: &[u64] = if is_long() { &[5, 10, 20, 30, 50, 70, 80, 90, 95, 99] } else { &[20, 50, 80] };
    for percent in percents {
        let test = format!("V1 p={percent}");
        let (sleep_ns, period_ns) = qemu_law(*percent);
        let Some((told, windows)) = told_of_rhythm(&test, sleep_ns, period_ns, seconds(4, 12)) else {
            continue;
        };
        let off = |value: f64| (value - *percent as f64).abs();
        let Some(middle) = median(&told) else {
            say(&test, "median within 1", &format!("none of {windows} windows"), false);
            continue;
        };
        let worst = told.iter().copied().map(off).fold(0.0, f64::max);
        let got = format!("{middle:.1} ({} of {windows} windows, worst off by {worst:.1})", told.len());
        say(&test, "median within 1, each within 2", &got, off(middle) <= 1.0 && worst <= 2.0);
        assert!(worst <= 5.0, "{test}: {told:?}");
    }
}

#[test]
fn v2_another_law_is_told_by_sleep_over_period() {
    let _alone = alone();
    let percents: &[u64] = if is_long() { &[10, 30, 50, 70] } else { &[40] };
    for percent in percents {
        let test = format!("V2 100 ms law, p={percent}");
        let Some((told, windows)) = told_of_rhythm(&test, percent * MS, 100 * MS, seconds(4, 12)) else {
            continue;
        };
        let middle = median(&told);
        let got = match middle {
            Some(middle) => format!("{middle:.1} ({} of {windows} windows)", told.len()),
            None => format!("none of {windows} windows"),
        };
        let off = middle.map(|middle| (middle - *percent as f64).abs());
        say(&test, "within 2", &got, off.is_some_and(|off| off <= 2.0));
        assert!(off.is_none_or(|off| off <= 5.0), "{test}: {told:?}");
    }
}

#[test]
fn v2_stops_at_random_are_never_called_a_throttle() {
    let _alone = alone();
    for (seed, len_ms) in [(1, 3), (2, 12), (3, 40)] {
        let plan = random(seed, 15 * MS, len_ms * MS, span(seconds(3, 15)));
        let (report, stops) = stopped(seconds(6, 18), plan);
        let told = report.throttles(0, u64::MAX);
        let test = format!("V2 random stops of {len_ms} ms");
        say(&test, "0 throttles", &format!("{} after {} stops", told.len(), stops.len()), told.is_empty());
        assert!(told.len() <= 1, "{test}: {told:?}");
    }
}

#[test]
fn v3_nothing_is_called_a_throttle_when_nothing_is_injected() {
    let _alone = alone();
    for load in [None, Some(Load::start)] {
        let test = if load.is_none() { "V3 idle" } else { "V3 loaded" };
        let guest = Guest::start(&format!("-r 2000p/s -t 2 -i 1s -d {}s", seconds(4, 600)), false);
        let load = load.map(|start| start());
        let report = guest.end();
        drop(load);
        let told = report.throttles(0, u64::MAX);
        let got = format!("{} in {} windows", told.len(), report.intervals.len());
        say(test, "0 throttles", &got, told.is_empty());
        assert!(told.len() <= report.intervals.len() / 4, "{test}: {told:?}");
    }
}

#[test]
fn v4_a_cpu_quota_is_the_schedulers_doing() {
    let _alone = alone();
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("SKIPPED: V4: a CPU quota needs root");
        return;
    }
    for (quota_us, period_us) in [(50_000, 100_000), (20_000, 100_000)] {
        let test = format!("V4 quota {}/{} ms", quota_us / 1000, period_us / 1000);
        // Not as root: under real-time scheduling the canaries would not be held to the quota.
        let guest = Guest::start(&format!("-r max -t 2 -i 1s -d {}s", seconds(4, 12)), true);
        let limited = Quota::limit(guest.pid(), quota_us, period_us);
        let from_ns = Monotonic.now_ns() + 300 * MS;
        let report = guest.end();
        if let Err(why) = limited {
            println!("SKIPPED: {test}: {why}");
            return;
        }
        let until_ns = report.intervals.last().unwrap().end_ns;
        let inside: Vec<_> = report
            .gaps
            .iter()
            .filter(|gap| (from_ns..=until_ns).contains(&(gap.start_ns + gap.len_ns)))
            .collect();
        let lost_ns: u64 = inside.iter().map(|gap| gap.len_ns).sum();
        let delay_ns: u64 =
            inside.iter().map(|gap| gap.features.run_delay_ns.unwrap_or(0).min(gap.len_ns)).sum();
        let explained = 100.0 * delay_ns as f64 / lost_ns.max(1) as f64;
        let (all_ns, sched_ns) = report.lost_ns(from_ns, until_ns, GapClass::GuestSched);
        let share = 100.0 * sched_ns as f64 / all_ns.max(1) as f64;
        let got = format!("{explained:.0} % of {} ms, class guest_sched {share:.0} %", lost_ns / MS);
        say(&test, "run delay explains 95 % of gaps", &got, explained >= 95.0);
        assert_eq!(report.throttles(from_ns, until_ns), Vec::<f64>::new(), "{test}");
    }
}

#[test]
fn v5_a_stop_of_the_whole_guest_is_common_to_all_canaries() {
    let _alone = alone();
    let rounds = seconds(1, 4);
    for len_ms in [20, 100, 500, 2000] {
        let test = format!("V5 stop of {len_ms} ms");
        let plan: Vec<(u64, u64)> =
            (0..rounds).map(|round| (round * (len_ms * MS + 2500 * MS) + 1200 * MS, len_ms * MS)).collect();
        let run_s = (plan.last().unwrap().0 + len_ms * MS) / SECOND + 3;
        let (report, stops) = stopped(run_s, plan);
        let found: Vec<Seen> = stops.iter().map(|stop| Seen::of(stop, &report)).collect();
        let skews: Vec<f64> = found.iter().filter_map(|seen| seen.skew_ms).collect();
        let lengths: Vec<f64> = found.iter().flat_map(|seen| seen.off_ms.clone()).collect();
        let (skew, off) =
            (median(&skews).unwrap_or(f64::INFINITY), median(&lengths).unwrap_or(f64::INFINITY));
        let common = found.iter().filter(|seen| seen.is_blackout).count();
        let got = format!("{common} of {}, skew {skew:.2} ms, length off by {off:.2} ms", stops.len());
        say(&test, "blackout on all canaries, skew within 1 ms", &got, common == stops.len() && skew <= 1.0);
        assert!(off <= 25.0 && skews.len() == stops.len(), "{test}: {lengths:?}");
    }
}

/// What the canaries saw of one stop.
struct Seen {
    /// How far apart their gaps ended; none when one of them saw nothing.
    skew_ms: Option<f64>,
    /// By how much each found another length.
    off_ms: Vec<f64>,
    /// Whether all of them called it a blackout.
    is_blackout: bool,
}

impl Seen {
    fn of(stop: &Stop, report: &Report) -> Self {
        let middle_ns = stop.from_ns.midpoint(stop.to_ns);
        let inside: Vec<_> = report
            .gaps
            .iter()
            .filter(|gap| (gap.start_ns..gap.start_ns + gap.len_ns).contains(&middle_ns))
            .collect();
        let ends = inside.iter().map(|gap| gap.start_ns + gap.len_ns);
        let ends = ends.clone().max().zip(ends.min());
        let all = inside.len() == report.hello.cpus.len();
        let true_ns = stop.to_ns - stop.from_ns;
        Self {
            skew_ms: ends.filter(|_| all).map(|(last_ns, first_ns)| (last_ns - first_ns) as f64 / 1e6),
            off_ms: inside.iter().map(|gap| gap.len_ns.abs_diff(true_ns) as f64 / 1e6).collect(),
            is_blackout: all
                && report.told_ms("blackout", stop) * MS >= true_ns / 10 * 9 * inside.len() as u64,
        }
    }
}

#[test]
fn classes_and_running_time_add_up_to_the_time_that_passed() {
    let _alone = alone();
    let (sleep_ns, period_ns) = qemu_law(50);
    let (report, _) = stopped(5, periodic(sleep_ns, period_ns, span(3)));
    let classes_ms: u64 = report
        .intervals
        .iter()
        .map(|interval| interval.stall_ms.as_ref().unwrap().values().sum::<u64>())
        .sum();
    let gaps_ms =
        report.intervals.iter().filter_map(|interval| interval.gaps).map(|gaps| gaps.total_ns).sum::<u64>()
            / MS;
    let span_ns = report.intervals.last().unwrap().end_ns - report.intervals[0].start_ns;
    let wall_ms = span_ns / MS * report.hello.cpus.len() as u64;
    let off = 100.0 * gaps_ms.abs_diff(classes_ms) as f64 / wall_ms as f64;
    let got =
        format!("off by {off:.2} % ({classes_ms} ms by class, {gaps_ms} ms in gaps, {wall_ms} ms in all)");
    say("sum of classes", "within 1 % of the time that passed", &got, off <= 1.0);
    assert!(off <= 3.0, "{got}");
}
