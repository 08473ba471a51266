//! V1 to V3: what is a throttle, how hard, and what is none.

use super::guest::{Guest, MS};
use super::say::{Row, median};
use super::stops::{Form, is_long, kept_time, periodic, qemu_law, random, seconds, span, stop};
use super::{alone, stopped};
use sully::record::GapClass;

/// What was told of a rhythm of stops.
struct Told {
    /// The percents of the intervals that lie wholly under it.
    percents: Vec<f64>,
    /// Those intervals.
    windows: usize,
    /// How much of the time lost in it was put down to a throttle, in percent.
    share: f64,
}

impl Told {
    /// Tries three times, until a throttle is told. None when the rhythm was kept in none of them.
    fn within_three(form: Form, sleep_ns: u64, period_ns: u64, run_s: u64) -> Option<Self> {
        let mut last = None;
        for _ in 0..3 {
            last = Self::of(form, sleep_ns, period_ns, run_s).or(last);
            if last.as_ref().is_some_and(|told: &Self| !told.percents.is_empty()) {
                break;
            }
        }
        last
    }

    /// None when the rhythm was not kept.
    fn of(form: Form, sleep_ns: u64, period_ns: u64, run_s: u64) -> Option<Self> {
        let load = form.begin();
        let (report, stops) = stopped(run_s + 2, periodic(sleep_ns, period_ns, span(run_s)));
        drop(load);
        if !kept_time(&stops, period_ns) {
            return None;
        }
        // Three stops are needed above 90 %.
        let settle_ns = if period_ns > 100 * MS { 2000 * MS } else { 0 };
        let (from_ns, until_ns) = (stops.first()?.from_ns + settle_ns, stops.last()?.to_ns + 100 * MS);
        let percents = report.throttles(from_ns, until_ns);
        let whole = (stops.first()?.from_ns, stops.last()?.to_ns);
        let share = report.tell(form.name(), "throttle", GapClass::Throttle, whole);
        Some(Self { percents, windows: report.windows(from_ns, until_ns), share })
    }

    /// By how much the worst of them is off.
    fn worst(&self, percent: u64) -> f64 {
        self.percents.iter().map(|value| (value - percent as f64).abs()).fold(0.0, f64::max)
    }

    fn note(&self, percent: u64) -> String {
        let (told, windows, worst) = (self.percents.len(), self.windows, self.worst(percent));
        format!(
            "{told} of {windows} intervals, worst off by {worst:.1}; {:.0} % of the time told as throttle",
            self.share
        )
    }
}

const NOT_KEPT: &str = "this machine is too busy to stop a process in time";

#[test]
fn v1_a_throttle_by_qemus_law_is_told_within_a_point() {
    let _alone = alone();
    for form in Form::ALL {
        let percents: &[u64] = match (is_long(), form) {
            (true, Form::Quiet) => &[5, 10, 20, 30, 50, 70, 80, 90, 95, 99],
            (true, Form::Loaded) => &[20, 50, 80, 99],
            (false, Form::Quiet) => &[20, 80],
            (false, Form::Loaded) => &[50],
        };
        for percent in percents {
            v1(form, *percent);
        }
    }
}

fn v1(form: Form, percent: u64) {
    let (demand, most) = match form {
        Form::Quiet => ("median within 1 point, each within 2", 2.0),
        Form::Loaded => ("none off by more than 3 points", 3.0),
    };
    let injection = format!("SIGSTOP by QEMU's law, {percent} %, {}", form.name());
    let row = Row { test: "V1", injection, demand };
    let (sleep_ns, period_ns) = qemu_law(percent);
    let Some(told) = Told::within_three(form, sleep_ns, period_ns, seconds(4, 12)) else {
        return row.skipped(NOT_KEPT);
    };
    let Some(middle) = median(&told.percents) else {
        row.none(&format!("none in {} intervals, and in none of three tries", told.windows));
        // A canary is on time once a ms: what sleeps for less hides between two beats.
        assert!(sleep_ns < MS, "{percent} % {}: no throttle was told in any of three tries", form.name());
        return;
    };
    let off = (middle - percent as f64).abs();
    let holds = told.worst(percent) <= most && (form == Form::Loaded || off <= 1.0);
    row.got(middle, "%", &told.note(percent), holds);
    assert!(told.worst(percent) <= 5.0, "{percent} % {}: {:?}", form.name(), told.percents);
}

#[test]
fn v2_another_law_is_told_by_sleep_over_period() {
    let _alone = alone();
    let percents: &[u64] = if is_long() { &[10, 30, 50, 70] } else { &[40] };
    for percent in percents {
        let injection = format!("SIGSTOP for {percent} of every 100 ms");
        let row = Row { test: "V2", injection, demand: "median within 2 points" };
        let Some(told) = Told::within_three(Form::Quiet, percent * MS, 100 * MS, seconds(4, 12)) else {
            row.skipped(NOT_KEPT);
            continue;
        };
        let Some(middle) = median(&told.percents) else {
            row.none(&format!("none in {} intervals, and in none of three tries", told.windows));
            panic!("{percent} of every 100 ms: no throttle was told in any of three tries");
        };
        let off = (middle - *percent as f64).abs();
        row.got(middle, "%", &told.note(*percent), off <= 2.0);
        assert!(off <= 5.0, "{percent} %: {:?}", told.percents);
    }
}

#[test]
fn v2_stops_at_random_are_never_called_a_throttle() {
    let _alone = alone();
    let lengths: &[(u64, u64)] = if is_long() { &[(1, 3), (2, 12), (3, 40)] } else { &[(2, 12)] };
    for (seed, len_ms) in lengths {
        let plan = random(*seed, 15 * MS, len_ms * MS, span(seconds(3, 15)));
        let (report, stops) = stopped(seconds(5, 17), plan);
        let told = report.throttles(0, u64::MAX);
        let whole = (stops[0].from_ns, stops[stops.len() - 1].to_ns);
        let share = report.tell("quiet", "vm_pause", GapClass::VmPause, whole);
        let injection = format!("SIGSTOP for {len_ms} ms after random waits");
        let note = format!(
            "in {} intervals, {} stops; {share:.0} % of the time told as vm_pause",
            report.intervals.len(),
            stops.len()
        );
        let row = Row { test: "V2", injection, demand: "no throttle" };
        row.got(told.len() as f64, "verdicts", &note, told.is_empty());
        assert!(told.len() <= 2, "{len_ms} ms: {told:?}");
        // What is no throttle was seen all the same.
        assert!(share >= 50.0, "{len_ms} ms: {share:.0} % told as vm_pause: {note}");
    }
}

#[test]
fn v3_nothing_is_called_a_throttle_when_nothing_is_injected() {
    let _alone = alone();
    for form in Form::ALL {
        let run_s = seconds(5, 600);
        let guest = Guest::start(&format!("-r 2000p/s -t 2 -i 200ms -d {}s", run_s + 6));
        let load = form.begin();
        // Whoever keeps silent about nothing must speak of something: at the end there is a throttle.
        let (sleep_ns, period_ns) = qemu_law(50);
        let rhythm = periodic(sleep_ns, period_ns, span(4));
        let plan = rhythm.into_iter().map(|(at_ns, len_ns)| (at_ns + span(run_s), len_ns)).collect();
        let stops = stop(guest.pid(), plan);
        let report = guest.end();
        drop(load);
        let told = report.throttles(0, stops[0].from_ns);
        let spoke = report.throttles(stops[0].from_ns, u64::MAX).len();
        let injection = format!("nothing, {}, {run_s} s", form.name());
        let row = Row { test: "V3", injection, demand: "no throttle" };
        let windows = report.windows(0, stops[0].from_ns);
        let note = format!("in {windows} intervals; {spoke} under the throttle after them");
        row.got(told.len() as f64, "verdicts", &note, told.is_empty() && spoke > 0);
        assert!(told.len() <= windows / 4, "{}: {told:?}", form.name());
        assert!(windows as u64 >= run_s && (spoke > 0 || !kept_time(&stops, period_ns)), "{note}");
    }
}
