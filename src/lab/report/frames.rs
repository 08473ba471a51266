//! The frames of a run's charts; one that has nothing to show says why.

use super::{
    charts::{ChartKind, Curves},
    words::time,
};
use crate::{
    lab::{rundir::RunData, view::RunView},
    record::MilestoneName,
};

/// The frame of one chart; the script fills it.
pub struct ChartFrame {
    /// What the script calls it.
    pub kind: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// How to read it.
    pub description: &'static str,
    /// Why it has no data; none where it has.
    pub absent: Option<String>,
}

const KINDS: [(ChartKind, &str, &str, &str); 4] = [
    (
        ChartKind::Rate,
        "rate",
        "Dirty rate, MiB/s",
        "What the guest was asked to dirty, and what it did, by the host's clock.",
    ),
    (
        ChartKind::Latency,
        "latency",
        "p99 of a visit, logarithmic",
        "Service: from actual start to end. Response: from the start the schedule intended.",
    ),
    (
        ChartKind::Lost,
        "lost",
        "Throttle and lost vCPU time, %",
        "How much QEMU says it throttles, and the share of vCPU time the guest's canaries found missing.",
    ),
    (
        ChartKind::Copying,
        "copying",
        "Memory still to send and dirty rate, by QEMU",
        "Remaining memory in MiB (left), pages newly dirty in MiB/s (right).",
    ),
];

/// What the chart of throttle and gaps shows of a session that was only collected.
const UNASKED: &str =
    "The share of vCPU time the guest's canaries found missing. What QEMU throttles is n/a: nobody asked it.";

/// Since when the seconds of a run's charts count.
pub fn since(run: &RunView) -> &'static str {
    match run.data().run.when(MilestoneName::Migrate) {
        Some(_) => "since the migration began",
        None => "since the first record",
    }
}

/// The frames of a run's charts, in the order they are read.
pub fn frames(run: &RunView, curves: &Curves) -> Vec<ChartFrame> {
    let frame = |(kind, name, title, description)| {
        let is_unasked = kind == ChartKind::Lost && run.data().session.is_some();
        let description = if is_unasked { UNASKED } else { description };
        let absent = (!curves.has(kind)).then(|| absent(kind, run));
        ChartFrame { kind: name, title, description, absent }
    };
    KINDS.into_iter().map(frame).collect()
}

/// Why there is no data of that kind.
fn absent(kind: ChartKind, run: &RunView) -> String {
    let (data, timeline) = (run.data(), run.timeline());
    match kind {
        ChartKind::Copying if data.session.is_some() => "nobody asked QEMU".into(),
        ChartKind::Copying if data.run.when(MilestoneName::Migrate).is_none() => {
            "no migration was started".into()
        }
        ChartKind::Copying => "QEMU gave no answer about the migration".into(),
        _ if timeline.guest.is_empty() => "no interval of the guest arrived".into(),
        ChartKind::Rate => "the guest's intervals have no length".into(),
        ChartKind::Latency => no_latency(data, timeline.untold_ns()),
        ChartKind::Lost => "no canary watched, and no throttle was told".into(),
    }
}

fn no_latency(data: &RunData, untold_ns: Option<u64>) -> String {
    if data.records.hello.as_ref().is_some_and(|hello| !hello.plan.latency) {
        return "visits were not timed".into();
    }
    let has_visits = data.records.intervals.iter().any(|own| own.writes > 0 || own.reads > 0);
    match untold_ns {
        Some(_) if has_visits => format!("the guest's clock cannot tell less than {}", time(untold_ns)),
        _ if has_visits => "no interval told what its visits took".into(),
        _ => "no page was visited".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::Story;
    use crate::record::Body;

    fn why(data: RunData) -> Vec<Option<String>> {
        let run = RunView::new(data);
        frames(&run, &Curves::of(run.timeline())).into_iter().map(|frame| frame.absent).collect()
    }

    #[test]
    fn a_chart_without_data_says_why() {
        assert_eq!(why(Story::precopy().run_data().data()), [None, None, None, None]);
        let mut data = Story::precopy().run_data();
        (data.arrivals, data.qemu) = (Vec::new(), Vec::new());
        let none = "no interval of the guest arrived";
        let silent = "QEMU gave no answer about the migration";
        assert_eq!(why(data.data()), [none, none, none, silent].map(|reason| Some(reason.to_owned())));
        let session = Story::precopy().session_data(&[crate::record::Side::Source]);
        assert_eq!(why(session.data())[3].as_deref(), Some("nobody asked QEMU"));
        data.run.milestones.clear();
        assert_eq!(why(data.data())[3].as_deref(), Some("no migration was started"));
    }

    #[test]
    fn latencies_that_are_absent_are_so_for_a_reason() {
        let with = |step_ns: u64, is_timed: bool, visits: u64| {
            let mut data = Story { clock_step_ns: Some(step_ns), ..Story::precopy() }.run_data();
            for arrival in &mut data.arrivals {
                match &mut arrival.record.body {
                    Body::Hello(hello) => hello.plan.latency = is_timed,
                    Body::Interval(interval) => {
                        (interval.service_ns, interval.response_ns) = Default::default();
                        interval.writes = visits;
                    }
                    _ => {}
                }
            }
            why(data.data())[1].clone().unwrap()
        };
        assert_eq!(with(20, false, 1), "visits were not timed");
        assert_eq!(with(4_000_000, true, 1), "the guest's clock cannot tell less than 6.00 ms");
        assert_eq!(with(20, true, 0), "no page was visited");
    }
}
