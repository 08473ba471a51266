//! Several runs side by side: one column for each.

use super::{
    headline::{method_and_idle, outcome},
    integrity,
    table::{ABSENT, Table},
    words::{count, mib, mib_per_s, percent, quantile, time},
};
use crate::{
    lab::{
        timeline::{Figures, PhaseName},
        view::RunView,
    },
    record::{Accelerator, MilestoneName, Provenance},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// A row of the comparison: its name, and a run's cell in it.
type ComparisonRow = (&'static str, fn(&RunView) -> String);

const ROWS: [ComparisonRow; 21] = [
    ("method", |run| {
        let is_migrated = run.data().run.when(MilestoneName::Migrate).is_some();
        if_driven(
            run,
            || if is_migrated { method_and_idle(run.data(), run.timeline()) } else { ABSENT.into() },
        )
    }),
    ("verdict", |run| match run.data() {
        data if data.audit.claims.verdict => "n/a".into(),
        data => if_driven(run, || outcome(data.run.verdict.outcome).into()),
    }),
    ("corrupt pages", |run| integrity::cell(run.data())),
    ("migration", |run| time(run.timeline().migration_ns)),
    ("set-up: longest gap", |run| {
        time(
            run.timeline().setup.as_ref().and_then(|setup| setup.longest_gap_ns).filter(|gap_ns| *gap_ns > 0),
        )
    }),
    ("passes", |run| count(run.timeline().pass_count)),
    ("sent", |run| mib(run.timeline().sent_bytes)),
    ("highest throttle", |run| {
        let highest = run.timeline().throttle.iter().filter_map(|level| level.percent).max();
        highest.map_or_else(|| ABSENT.into(), |percent| format!("{percent} %"))
    }),
    ("baseline: MiB/s done", |run| rate(run, PhaseName::Baseline)),
    ("pre-copy: MiB/s done", |run| rate(run, PhaseName::Precopy)),
    ("post-copy: MiB/s done", |run| rate(run, PhaseName::Postcopy)),
    ("baseline: response p99", |run| response(run, PhaseName::Baseline)),
    ("pre-copy: response p99", |run| response(run, PhaseName::Precopy)),
    ("post-copy: response p99", |run| response(run, PhaseName::Postcopy)),
    ("pre-copy: gap share", |run| gap_share(run, PhaseName::Precopy)),
    ("post-copy: gap share", |run| gap_share(run, PhaseName::Postcopy)),
    ("post-copy: QEMU's vCPU blocktime", |run| {
        let vcpus =
            run.timeline().postcopy.as_ref().and_then(|postcopy| postcopy.qemu_vcpu_blocktime_ns.as_ref());
        time(vcpus.map(|vcpus| vcpus.iter().fold(0, |sum: u64, vcpu| sum.saturating_add(*vcpu))))
    }),
    ("post-copy: guest's stalls", |run| {
        time(run.timeline().postcopy.as_ref().and_then(|postcopy| postcopy.guest_stall_ns))
    }),
    ("switch: QEMU's downtime", |run| time(run.timeline().blackout.qemu_downtime_ns)),
    ("switch: STOP to RESUME", |run| time(run.timeline().blackout.stop_to_resume_ns)),
    ("switch: guest and host", |run| time(run.timeline().blackout.estimate_ns)),
];

/// The runs side by side. A line that no run has anything to say to is left out.
pub fn comparison(runs: &[RunView]) -> Table {
    let mut table = Table::with_head("The runs side by side", &[""]);
    table.head.extend(runs.iter().map(|run| run.data().dir_name.clone()));
    for (name, cell) in ROWS {
        let cells: Vec<String> = runs.iter().map(cell).collect();
        if cells.iter().any(|cell| cell != ABSENT) {
            table.rows.push([vec![name.to_owned()], cells].concat());
        }
    }
    table
}

/// What else lies between the runs besides the method, in a sentence; none where load, link and machine are the same.
pub fn unlike(runs: &[RunView]) -> Option<String> {
    let mut differing = Vec::new();
    for key in keys(runs) {
        let values: Vec<String> =
            runs.iter().map(|run| shown(run.data().run.scenario.pointer(&key))).collect();
        let name = key.trim_start_matches('/').replace('/', ".");
        differing.extend(difference(&name, &values));
    }
    let provenance = |of: fn(&Provenance) -> String| -> Vec<String> {
        runs.iter().map(|run| of(&run.data().run.provenance)).collect()
    };
    differing.extend(difference(
        "accelerator",
        &provenance(|own| own.accelerator.map_or("n/a", Accelerator::name).to_owned()),
    ));
    differing.extend(difference("QEMU", &provenance(|own| own.qemu_version.clone())));
    differing.extend(difference("host", &provenance(|own| own.host_cpu_model.clone())));
    (!differing.is_empty()).then(|| {
        format!(
            "Not like with like: these runs differ in {}, and not in the method alone.",
            differing.join(", ")
        )
    })
}

/// Everything of a scenario that is load, machine or link, as pointers into it.
fn keys(runs: &[RunView]) -> BTreeSet<String> {
    let mut keys: BTreeSet<String> =
        ["/migration/bandwidth", "/migration/downtime_limit"].map(String::from).into();
    for run in runs {
        for section in ["vm", "load", "link"] {
            let own = run.data().run.scenario.get(section).and_then(Value::as_object);
            keys.extend(own.into_iter().flat_map(|own| own.keys()).map(|key| format!("/{section}/{key}")));
        }
    }
    keys
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => ABSENT.into(),
        Some(Value::String(text)) if text.contains('\n') => {
            format!("a text of {} lines", text.lines().count())
        }
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The different values of one thing, in the order of the runs; none where all are the same.
fn difference(name: &str, values: &[String]) -> Option<String> {
    let mut different: Vec<&str> = Vec::new();
    for value in values {
        if !different.contains(&value.as_str()) {
            different.push(value);
        }
    }
    (different.len() > 1).then(|| format!("{name} ({})", different.join(", ")))
}

/// What only the lab knows of a run; absent of a session that was collected.
fn if_driven(run: &RunView, cell: impl Fn() -> String) -> String {
    if run.data().is_unjudged() { ABSENT.into() } else { cell() }
}

fn figures(run: &RunView, name: PhaseName) -> Option<&Figures> {
    run.timeline().phase(name).map(|phase| &phase.figures)
}

fn rate(run: &RunView, name: PhaseName) -> String {
    mib_per_s(figures(run, name).and_then(|figures| figures.achieved_pages_per_s))
}

fn response(run: &RunView, name: PhaseName) -> String {
    let response = figures(run, name).and_then(|figures| figures.response_ns);
    quantile(response, |response| response.p99, run.timeline().untold_ns())
}

fn gap_share(run: &RunView, name: PhaseName) -> String {
    percent(figures(run, name).and_then(|figures| Some(figures.gaps?.share)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::{FixtureData, Story};

    #[test]
    fn each_run_has_a_column_and_lines_without_a_word_are_left_out() {
        let runs = [Story::precopy(), Story::auto_converge()];
        let table = comparison(&runs.map(|story| RunView::new(story.run_data().data())));
        assert_eq!(table.head, ["", "smoke-precopy-001", "smoke-auto-converge-001"]);
        let row = |name: &str| table.rows.iter().find(|row| row[0] == name);
        assert_eq!(row("highest throttle").unwrap()[1..], [ABSENT, "90 %"]);
        assert_eq!(row("post-copy: gap share"), None);
    }

    #[test]
    fn runs_of_different_load_link_or_machine_are_said_to_be_so() {
        let mut runs = [Story::precopy().run_data(), Story::auto_converge().run_data()];
        let scenario = |rate: &str, bandwidth: &str, plan: &str| {
            serde_json::json!({"name": "x", "load": {"rate": rate, "seed": 1, "plan": plan},
                "migration": {"bandwidth": bandwidth, "auto_converge": rate == "80M/s"}})
        };
        let sentence =
            |runs: &[FixtureData; 2]| unlike(&runs.each_ref().map(|data| RunView::new(data.data())));
        for run in &mut runs {
            run.run.scenario = scenario("8M/s", "32M/s", "a\nb\n");
        }
        runs[1].run.scenario["migration"]["auto_converge"] = true.into();
        assert_eq!(sentence(&runs), None, "methods are what is compared");
        runs[1].run.scenario = scenario("80M/s", "36M/s", "a\nb\nc\n");
        runs[1].run.provenance.qemu_version = "11".into();
        let qemu = runs[0].run.provenance.qemu_version.clone();
        let said = format!(
            "Not like with like: these runs differ in load.plan (a text of 2 lines, a text of 3 lines), load.rate (8M/s, \
             80M/s), migration.bandwidth (32M/s, 36M/s), QEMU ({qemu}, 11), and not in the method alone."
        );
        assert_eq!(sentence(&runs), Some(said));
    }
}
