//! The report as one page for a browser: everything in it, nothing fetched.

use super::{
    charts::{Curves, embedded},
    compare::{comparison, unlike},
    costs::{costs, which},
    cycles::cycles,
    facts::{EMULATED, consoles, facts, is_emulated, notes, verdict},
    felt::felt,
    frames::{ChartFrame, frames, since},
    headline::headline_of,
    integrity::integrity,
    repeats::{repeats, together},
    table::Table,
    tables::{passes, tables},
};
use crate::{lab::view::RunView, record::Outcome, units::harmless};
use askama::Template;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: String,
    comparison: Vec<Table>,
    runs: Vec<RunSection<'a>>,
    curves: String,
    emulated: &'static str,
    style: &'static str,
    script: &'static str,
    uplot_style: &'static str,
    uplot_script: &'static str,
    uplot_licence: &'static str,
}

/// One run as the page shows it.
struct RunSection<'a> {
    name: &'a str,
    dir_name: &'a str,
    headline: String,
    verdict: String,
    verdict_class: &'static str,
    emulated: bool,
    charts: Vec<ChartFrame>,
    /// Since when their seconds count.
    since: &'static str,
    stages: Vec<&'static str>,
    tables: Vec<Table>,
    folded: Vec<Table>,
    notes: Vec<String>,
    consoles: Vec<(&'static str, &'a [String])>,
}

/// The page on these runs.
///
/// # Errors
/// When the template cannot be rendered, for which there is no cause but a lack of memory.
pub fn html(runs: &[RunView]) -> anyhow::Result<String> {
    let mut comparisons = Vec::new();
    if runs.len() > 1 {
        let mut table = comparison(runs);
        let found = together(runs);
        table.note = which(&found).into_iter().chain(unlike(runs)).collect::<Vec<_>>().join(" ");
        comparisons.push(table);
        comparisons.extend(costs(&found).into_iter().chain(repeats(&found)));
    }
    let curves: Vec<Curves> = runs.iter().map(|run| Curves::of(run.timeline())).collect();
    let names: Vec<&str> = runs.iter().map(|run| run.data().run.name.as_str()).collect();
    let page = Page {
        title: names.join(", "),
        comparison: comparisons,
        runs: runs.iter().zip(&curves).map(|(run, curves)| section(run, curves)).collect(),
        curves: embedded(&serde_json::to_string(&curves)?),
        emulated: EMULATED,
        style: include_str!("../../../templates/report.css"),
        script: include_str!("../../../templates/report.js"),
        uplot_style: include_str!("vendor/uPlot.min.css"),
        uplot_script: include_str!("vendor/uPlot.iife.min.js"),
        uplot_licence: include_str!("vendor/LICENSE"),
    };
    Ok(harmless(&page.render()?))
}

/// One run's part of the page.
fn section<'a>(run: &'a RunView, curves: &Curves) -> RunSection<'a> {
    let (data, timeline) = (run.data(), run.timeline());
    let verdict_class = match data.run.verdict.outcome {
        _ if data.is_unjudged() => "",
        Outcome::Passed if !data.audit.claims.verdict => "good",
        _ => "bad",
    };
    let mut folded: Vec<Table> = passes(timeline).into_iter().collect();
    folded.push(facts(data));
    let felt = felt(run.analysis(), is_emulated(data), timeline.untold_ns());
    RunSection {
        name: &data.run.name,
        dir_name: &data.dir_name,
        headline: headline_of(run),
        verdict: verdict(data),
        verdict_class,
        emulated: is_emulated(data),
        charts: frames(run, curves),
        since: since(run),
        stages: timeline.phases.iter().map(|phase| phase.name.title()).collect(),
        tables: cycles(data, timeline)
            .into_iter()
            .chain(tables(data, timeline))
            .chain(felt)
            .chain(integrity(data))
            .collect(),
        folded,
        notes: notes(data, timeline),
        consoles: consoles(data),
    }
}

#[cfg(test)]
mod tests;
