//! The figures of the report as JSON, for `jq` and its kind.

use super::{headline::headline_of, integrity::corrupt_pages, repeats::together};
use crate::{
    lab::{analysis::Analysis, rundir::CollectedSession, timeline::Timeline, view::RunView},
    record::{Corruption, CycleFigures, Measured, Provenance, StreamAudit, Verdict},
};
use serde::Serialize;
use serde_json::Value;

/// What several runs say together: medians of each scenario, and how far scenarios lie apart.
///
/// # Errors
/// When a figure cannot be written as JSON, which would be a fault of this program.
pub fn comparison_json(runs: &[RunView]) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&together(runs))? + "\n")
}

/// What the run cost the guest: `analysis.json`.
///
/// # Errors
/// When a figure cannot be written as JSON, which would be a fault of this program.
pub fn analysis_json(run: &RunView) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(run.analysis())? + "\n")
}

/// One run: the same figures as in text and page. What was not measured is null, never zero; so is what only the lab could know of a
/// session that was collected.
#[derive(Serialize)]
struct RunFigures<'a> {
    directory: &'a str,
    name: &'a str,
    headline: String,
    verdict: Option<&'a Verdict>,
    provenance: Option<&'a Provenance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a CollectedSession>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<&'a Measured>,
    stream: &'a StreamAudit,
    /// What contradicts itself in the run directory, in sentences.
    contradictions: Vec<&'a str>,
    corruptions: &'a [Corruption],
    corrupt_pages: Option<u64>,
    #[serde(skip_serializing_if = "<[CycleFigures]>::is_empty")]
    cycles: &'a [CycleFigures],
    /// As `analysis.json` has it.
    analysis: &'a Analysis,
    #[serde(flatten)]
    timeline: &'a Timeline,
}

/// The figures of these runs: an array with an object for each, in the order given.
///
/// # Errors
/// When a figure cannot be written as JSON, which would be a fault of this program.
pub fn json(runs: &[RunView]) -> serde_json::Result<String> {
    let figures: Vec<RunFigures<'_>> = runs.iter().map(RunFigures::of).collect();
    Ok(serde_json::to_string_pretty(&figures)? + "\n")
}

/// The figures of one run.
pub fn run_json(run: &RunView) -> serde_json::Result<Value> {
    serde_json::to_value(RunFigures::of(run))
}

impl<'a> RunFigures<'a> {
    fn of(view: &'a RunView) -> Self {
        let (data, timeline) = (view.data(), view.timeline());
        let is_driven = !data.is_unjudged();
        Self {
            directory: &data.dir_name,
            name: &data.run.name,
            headline: headline_of(view),
            verdict: (is_driven && !data.audit.claims.verdict).then_some(&data.run.verdict),
            provenance: is_driven.then_some(&data.run.provenance),
            session: data.session.as_ref().filter(|_| !is_driven),
            measured: data.run.measured.as_deref(),
            stream: &data.run.stream,
            contradictions: data.audit.sentences().collect(),
            corruptions: &data.records.corruptions,
            corrupt_pages: corrupt_pages(data),
            cycles: &data.run.cycles,
            analysis: view.analysis(),
            timeline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::Story;

    #[test]
    fn each_run_is_an_object_with_the_reports_figures() {
        let runs = [Story::precopy(), Story::post_copy()].map(|story| RunView::new(story.run_data().data()));
        let figures: Value = serde_json::from_str(&json(&runs).unwrap()).unwrap();
        assert_eq!(figures[0]["directory"], "smoke-precopy-001");
        assert_eq!(figures[0]["verdict"]["outcome"], "passed");
        assert_eq!(figures[0]["phases"][2]["name"], "blackout");
        let analysis: Value = serde_json::from_str(&analysis_json(&runs[0]).unwrap()).unwrap();
        assert_eq!(figures[0]["analysis"], analysis, "the same as in analysis.json");
        assert_eq!(figures[0].get("session"), None);
        let session = RunView::new(Story::precopy().session_data(&[crate::record::Side::Source]).data());
        let session: Value = serde_json::from_str(&json(&[session]).unwrap()).unwrap();
        assert_eq!((&session[0]["verdict"], &session[0]["provenance"]), (&Value::Null, &Value::Null));
        assert_eq!(session[0]["session"]["hostname"], "vm7");
        assert_eq!(figures[0]["postcopy"], Value::Null);
        assert_eq!(figures[1]["postcopy"]["requests"], 100);
        assert!(figures[1]["phases"][3]["gaps"]["share"].as_f64().is_some_and(|share| share > 0.2));
    }
}
