//! Several runs side by side: one column for each.

use super::{
    headline::{method, outcome},
    table::{ABSENT, Table},
    words::{count, mib, mib_per_s, percent, time},
};
use crate::lab::{
    rundir::RunData,
    timeline::{Figures, PhaseName, Timeline},
};

/// One run with its figures.
pub type Told<'a> = (&'a RunData, &'a Timeline);

/// A line of the comparison: its name, and what it says of a run.
type Line = (&'static str, fn(Told<'_>) -> String);

const LINES: [Line; 19] = [
    ("method", |(_, timeline)| method(timeline).into()),
    ("verdict", |(data, _)| outcome(data.run.verdict.outcome).into()),
    ("migration", |(_, timeline)| time(timeline.migration_ns)),
    ("passes", |(_, timeline)| count(timeline.pass_count)),
    ("sent", |(_, timeline)| mib(timeline.sent_bytes)),
    ("highest throttle", |(_, timeline)| {
        let highest = timeline.throttle.iter().filter_map(|level| level.percent).max();
        highest.map_or_else(|| ABSENT.into(), |percent| format!("{percent} %"))
    }),
    ("baseline: MiB/s done", |told| rate(told, PhaseName::Baseline)),
    ("pre-copy: MiB/s done", |told| rate(told, PhaseName::Precopy)),
    ("post-copy: MiB/s done", |told| rate(told, PhaseName::Postcopy)),
    ("baseline: response p99", |told| response(told, PhaseName::Baseline)),
    ("pre-copy: response p99", |told| response(told, PhaseName::Precopy)),
    ("post-copy: response p99", |told| response(told, PhaseName::Postcopy)),
    ("pre-copy: gap share", |told| gap_share(told, PhaseName::Precopy)),
    ("post-copy: gap share", |told| gap_share(told, PhaseName::Postcopy)),
    ("post-copy: QEMU's vCPU blocktime", |(_, timeline)| {
        let vcpus = timeline.postcopy.as_ref().and_then(|postcopy| postcopy.qemu_vcpu_blocktime_ns.as_ref());
        time(vcpus.map(|vcpus| vcpus.iter().fold(0, |sum: u64, vcpu| sum.saturating_add(*vcpu))))
    }),
    ("post-copy: guest's stalls", |(_, timeline)| {
        time(timeline.postcopy.as_ref().and_then(|postcopy| postcopy.guest_stall_ns))
    }),
    ("switch: QEMU's downtime", |(_, timeline)| time(timeline.blackout.qemu_downtime_ns)),
    ("switch: STOP to RESUME", |(_, timeline)| time(timeline.blackout.stop_to_resume_ns)),
    ("switch: guest and host", |(_, timeline)| time(timeline.blackout.estimate_ns)),
];

/// The runs side by side. A line that no run has anything to say to is left out.
pub fn comparison(told: &[Told<'_>]) -> Table {
    let mut table = Table::with_head("The runs side by side", &[""]);
    table.head.extend(told.iter().map(|(data, _)| data.dir_name.clone()));
    for (name, say) in LINES {
        let cells: Vec<String> = told.iter().map(|run| say(*run)).collect();
        if cells.iter().any(|cell| cell != ABSENT) {
            table.rows.push([vec![name.to_owned()], cells].concat());
        }
    }
    table
}

fn figures((_, timeline): Told<'_>, name: PhaseName) -> Option<&Figures> {
    timeline.phase(name).map(|phase| &phase.figures)
}

fn rate(told: Told<'_>, name: PhaseName) -> String {
    mib_per_s(figures(told, name).and_then(|figures| figures.achieved_pages_per_s))
}

fn response(told: Told<'_>, name: PhaseName) -> String {
    time(figures(told, name).and_then(|figures| figures.response_ns?.p99))
}

fn gap_share(told: Told<'_>, name: PhaseName) -> String {
    percent(figures(told, name).and_then(|figures| Some(figures.gaps?.share)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::Story;

    #[test]
    fn each_run_has_a_column_and_lines_without_a_word_are_left_out() {
        let runs = [Story::precopy().run_data(), Story::auto_converge().run_data()];
        let timelines = runs.each_ref().map(Timeline::of);
        let told: Vec<Told<'_>> = runs.iter().zip(&timelines).collect();
        let table = comparison(&told);
        assert_eq!(table.head, ["", "smoke-precopy-001", "smoke-auto-converge-001"]);
        let row = |name: &str| table.rows.iter().find(|row| row[0] == name);
        assert_eq!(row("highest throttle").unwrap()[1..], [ABSENT, "90 %"]);
        assert_eq!(row("post-copy: gap share"), None);
    }
}
