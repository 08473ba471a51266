//! What the guest felt: the costs of a run as tables.

use super::{
    table::{ABSENT, Table},
    words::{percent, seconds, time},
};
use crate::lab::{
    analysis::{Analysis, Ratio, StageCost},
    timeline::nanos,
};

/// All tables of costs; one that would say nothing is left out.
pub fn felt(analysis: &Analysis) -> Vec<Table> {
    let all = [Some(slowdown(analysis)), Some(costs(analysis)), lost_by_class(analysis), waits(analysis)];
    all.into_iter().flatten().filter(|table| !table.rows.is_empty()).collect()
}

fn slowdown(analysis: &Analysis) -> Table {
    let mut table = Table::with_head(
        "What the guest felt: times the baseline, with 95 % bounds",
        &["stage", "of", "p50", "p90", "p99", "p99.9"],
    );
    table.note = match &analysis.baseline_reason {
        Some(reason) => format!("No ratios: {reason}."),
        None => "Bounds by a moving-block bootstrap within this run: they say nothing about another run. n/a: too few \
                 visits, or the baseline's halves disagree there; analysis.json has each reason."
            .into(),
    };
    for stage in &analysis.stages {
        let Some(slowdown) = &stage.slowdown else { continue };
        for (of, ratios) in [("service", &slowdown.service), ("response", &slowdown.response)] {
            let mut row = vec![stage.name.title().to_owned(), of.to_owned()];
            row.extend(ratios.iter().map(ratio));
            table.rows.push(row);
        }
        let rate = [stage.name.title().to_owned(), "rate".to_owned(), ratio(&slowdown.rate)];
        table.rows.push(rate.into_iter().chain([ABSENT; 3].map(str::to_owned)).collect());
    }
    table
}

fn ratio(ratio: &Ratio) -> String {
    let digits = |value: f64| if value < 99.95 { format!("{value:.2}") } else { format!("{value:.0}") };
    match (ratio.ratio, ratio.bounds) {
        (Some(value), Some([low, high])) => format!("{} ({}-{})", digits(value), digits(low), digits(high)),
        (Some(value), None) => digits(value),
        (None, _) => "n/a".into(),
    }
}

fn costs(analysis: &Analysis) -> Table {
    let head = ["stage", "work lost", "of it measured", "1 GiB takes", "10 ms", "100 ms", "1 s"];
    let mut table = Table::with_head("Work lost, and the worst windows", &head);
    table.groups = vec![(String::new(), 4), ("least time a vCPU ran in".into(), 3)];
    let settled = match (analysis.settling.after_s, &analysis.settling.reason) {
        (Some(after_s), _) => format!("Settled {} after the migration's end.", seconds(after_s)),
        (None, Some(reason)) => format!("Settling: n/a, {reason}."),
        (None, None) => String::new(),
    };
    let total = analysis.lost.map_or_else(String::new, |lost| {
        format!(
            " From the migration's start on {} of the baseline's work were lost.",
            seconds(lost.full_stop_s)
        )
    });
    table.note = format!(
        "{settled}{total} Work lost as time in which nothing is written at all. Windows cannot see gaps below the \
         canaries' threshold."
    );
    table.rows.extend(analysis.stages.iter().map(cost_row));
    table
}

fn cost_row(stage: &StageCost) -> Vec<String> {
    let window = |index: usize| percent(stage.availability.get(index).map(|window| window.worst));
    let lost = |of: fn(&crate::lab::analysis::Lost) -> f64| {
        stage.lost.as_ref().map_or_else(|| ABSENT.into(), |lost| seconds(of(lost)))
    };
    vec![
        stage.name.title().to_owned(),
        lost(|lost| lost.full_stop_s),
        lost(|lost| lost.covered_s),
        time(stage.ms_per_gib.map(|ms| nanos(ms / 1e3))),
        window(0),
        window(1),
        window(2),
    ]
}

fn lost_by_class(analysis: &Analysis) -> Option<Table> {
    let head = ["stage", "vCPU time", "running", "blackout", "guest sched", "guest fault", "unknown"];
    let mut table = Table::with_head("Time lost by class, sum over vCPUs", &head);
    table.note = "Classes and running time add up to the vCPU time.".into();
    for stage in &analysis.stages {
        let time = stage.time?;
        let all = [
            time.wall_s,
            time.running_s,
            time.blackout_s,
            time.guest_sched_s,
            time.guest_fault_s,
            time.unknown_s,
        ];
        let mut row = vec![stage.name.title().to_owned()];
        row.extend(all.map(seconds));
        table.rows.push(row);
    }
    Some(table)
}

fn waits(analysis: &Analysis) -> Option<Table> {
    let waits = analysis.postcopy.as_ref()?;
    let mut table = Table::of_facts("Post-copy: waits the guest saw, and how they fit QEMU's count");
    let requests = waits.qemu_requests.map_or_else(|| "n/a".into(), |requests| requests.to_string());
    table.fact(
        "guest: gaps in the stage",
        format!("{} (QEMU: {requests} pages asked for)", waits.guest_count),
    );
    table.fact("guest: median gap", time(waits.guest_p50_ns));
    let apart = &waits.disagreements;
    table.fact(
        "fit",
        if apart.is_empty() { "no figures differ by more than 10 %".into() } else { apart.join("; ") },
    );
    Some(table)
}
