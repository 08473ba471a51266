//! The report as one page for a browser: everything in it, nothing fetched.

use super::{
    charts::{Curves, embedded},
    compare::{Told, comparison, unlike},
    facts::{EMULATED, consoles, facts, is_emulated, notes, verdict},
    felt::felt,
    headline::headline,
    integrity::integrity,
    repeats::{repeats, together},
    table::Table,
    tables::{passes, tables},
};
use crate::{
    lab::{analysis::Analysis, rundir::RunData, timeline::Timeline},
    record::Outcome,
};
use anyhow::Context;
use askama::Template;
use std::path::Path;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: String,
    comparison: Vec<Table>,
    runs: Vec<RunView<'a>>,
    curves: String,
    emulated: &'static str,
    style: &'static str,
    script: &'static str,
    uplot_style: &'static str,
    uplot_script: &'static str,
    uplot_licence: &'static str,
}

/// One run as the page shows it.
struct RunView<'a> {
    name: &'a str,
    dir_name: &'a str,
    headline: String,
    verdict: String,
    verdict_class: &'static str,
    emulated: bool,
    charts: Vec<ChartView>,
    stages: Vec<&'static str>,
    tables: Vec<Table>,
    folded: Vec<Table>,
    notes: Vec<String>,
    consoles: Vec<(&'static str, &'a [String])>,
}

/// The frame of one chart; the script fills it.
struct ChartView {
    kind: &'static str,
    title: &'static str,
    description: &'static str,
}

const RATE: ChartView = ChartView {
    kind: "rate",
    title: "Dirty rate, MiB/s",
    description: "What the guest was asked to dirty, and what it did, by the host's clock.",
};
const LATENCY: ChartView = ChartView {
    kind: "latency",
    title: "p99 of a visit, logarithmic",
    description: "Service: from actual start to end. Response: from the start the schedule intended.",
};
const LOST: ChartView = ChartView {
    kind: "lost",
    title: "Throttle and lost vCPU time, %",
    description: "How much QEMU says it throttles, and the share of vCPU time the guest's canaries found missing.",
};
const COPYING: ChartView = ChartView {
    kind: "copying",
    title: "Memory still to send and dirty rate, by QEMU",
    description: "Remaining memory in MiB (left), pages newly dirty in MiB/s (right).",
};

/// The page on these runs.
///
/// # Errors
/// When the template cannot be rendered, for which there is no cause but a lack of memory.
pub fn html(runs: &[RunData]) -> anyhow::Result<String> {
    let timelines: Vec<Timeline> = runs.iter().map(Timeline::of).collect();
    let told: Vec<Told<'_>> = runs.iter().zip(&timelines).collect();
    let analyses: Vec<Analysis> = told.iter().map(|(data, timeline)| Analysis::of(data, timeline)).collect();
    let mut comparisons = Vec::new();
    if told.len() > 1 {
        let mut table = comparison(&told);
        table.note = unlike(&told).unwrap_or_default();
        comparisons.push(table);
        comparisons.extend(repeats(&together(runs, &analyses, &timelines)));
    }
    let curves: Vec<Curves> = timelines.iter().map(Curves::of).collect();
    let names: Vec<&str> = runs.iter().map(|data| data.run.name.as_str()).collect();
    let page = Page {
        title: names.join(", "),
        comparison: comparisons,
        runs: told
            .iter()
            .zip(curves.iter().zip(&analyses))
            .map(|((data, timeline), (curves, analysis))| view(data, timeline, curves, analysis))
            .collect(),
        curves: embedded(&serde_json::to_string(&curves)?),
        emulated: EMULATED,
        style: include_str!("../../../templates/report.css"),
        script: include_str!("../../../templates/report.js"),
        uplot_style: include_str!("vendor/uPlot.min.css"),
        uplot_script: include_str!("vendor/uPlot.iife.min.js"),
        uplot_licence: include_str!("vendor/LICENSE"),
    };
    Ok(page.render()?)
}

/// Writes the page on these runs to `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_html(runs: &[RunData], path: &Path) -> anyhow::Result<()> {
    let page = html(runs)?;
    std::fs::write(path, page).with_context(|| format!("cannot write the report to '{}'", path.display()))
}

fn view<'a>(data: &'a RunData, timeline: &Timeline, curves: &Curves, analysis: &Analysis) -> RunView<'a> {
    let verdict_class = match data.run.verdict.outcome {
        Outcome::Passed => "good",
        Outcome::Judged | Outcome::Failed | Outcome::Interrupted => "bad",
    };
    let mut folded: Vec<Table> = passes(timeline).into_iter().collect();
    folded.push(facts(data));
    let felt = felt(analysis, is_emulated(data));
    let charts = if curves.is_empty() { Vec::new() } else { vec![RATE, LATENCY, LOST, COPYING] };
    RunView {
        name: &data.run.name,
        dir_name: &data.dir_name,
        headline: headline(data, timeline),
        verdict: verdict(data),
        verdict_class,
        emulated: is_emulated(data),
        charts,
        stages: timeline.phases.iter().map(|phase| phase.name.title()).collect(),
        tables: tables(timeline).into_iter().chain(felt).chain(integrity(data)).collect(),
        folded,
        notes: notes(data, timeline),
        consoles: consoles(data),
    }
}

#[cfg(test)]
mod tests;
