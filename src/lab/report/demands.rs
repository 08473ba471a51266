//! What a scenario demands of the report's figures, held against them: `expect.figures`.

use super::json::run_json;
use crate::lab::{
    figure,
    scenario::{Demand, nearest},
    view::RunView,
};
use serde_json::Value;

/// The short names of figures: the path of each in the JSON report, and what it is multiplied with.
const NAMED: [(&str, &str, f64); 11] = [
    ("downtime_ms", "blackout.qemu_downtime_ns", 1e-6),
    ("blackout_ms", "blackout.estimate_ns", 1e-6),
    ("stop_to_resume_ms", "blackout.stop_to_resume_ns", 1e-6),
    ("setup_ms", "setup.longest_gap_ns", 1e-6),
    ("migration_s", "migration_ns", 1e-9),
    ("passes", "pass_count", 1.0),
    ("lost_s", "analysis.lost.full_stop_s", 1.0),
    ("lost_pages", "analysis.lost.pages", 1.0),
    ("sent_mib", "sent_bytes", 1.0 / 1_048_576.0),
    ("link_percent", "analysis.link_share.achieved_percent", 1.0),
    ("pages.corrupt", "corrupt_pages", 1.0),
];
/// Stages that no migration is part of: a slowdown is that of the others.
const QUIET_STAGES: [&str; 2] = ["baseline", "after"];

/// What else may be demanded by a name without dots: a figure of its own, and those at the top of the report.
const MORE: [&str; 5] = ["throttle_percent", "pass_count", "sync_count", "migration_ns", "sent_bytes"];
/// Percentiles of a slowdown.
const PERCENTILES: [&str; 4] = ["p50", "p90", "p99", "p999"];

/// What no report will have of these demands, each in a sentence.
pub fn never_met(demands: &[Demand]) -> Vec<String> {
    let never = |demand: &&Demand| match demand.figure.split_once('.') {
        None => !short_names().any(|known| known == demand.figure),
        Some(("slowdown", of)) => !PERCENTILES.contains(&of),
        Some(_) => demand.figure.split('.').any(str::is_empty),
    };
    let said = |demand: &Demand| {
        let unknown = unknown(&demand.figure, std::iter::empty());
        format!("expect.figures demands {demand}, and {unknown}")
    };
    demands.iter().filter(never).map(said).collect()
}

/// Every demand that is not met, or that cannot be judged, in a sentence.
///
/// # Errors
/// When a figure cannot be written as JSON, which would be a fault of this program.
pub fn unmet(view: &RunView, demands: &[Demand]) -> serde_json::Result<Vec<String>> {
    if demands.is_empty() {
        return Ok(Vec::new());
    }
    let report = run_json(view)?;
    let judge = |demand: &Demand| match value_of(&report, &demand.figure) {
        Ok(value) if demand.comparison.holds(value, demand.limit) => None,
        Ok(value) => Some(format!("{} is {}, expect.figures demands {demand}", demand.figure, shown(value))),
        Err(why) => Some(format!("expect.figures demands {demand}, which cannot be judged: {why}")),
    };
    Ok(demands.iter().filter_map(judge).collect())
}

/// A figure of a run's JSON report.
fn value_of(report: &Value, name: &str) -> Result<f64, String> {
    let absent = || format!("the report has no {name} of this run");
    if name == "throttle_percent" {
        return highest(report, "qemu", |sample| sample["throttle_percent"].as_f64()).ok_or_else(absent);
    }
    if let Some(of) = name.strip_prefix("slowdown.") {
        return slowdown(report, of).ok_or_else(|| match why_no_slowdown(report, of) {
            Some(reason) => format!("{}: {reason}", absent()),
            None => absent(),
        });
    }
    let (path, factor) = NAMED
        .into_iter()
        .find(|(known, ..)| *known == name)
        .map_or((name, 1.0), |(_, path, factor)| (path, factor));
    match at(report, path) {
        Some(Value::Number(number)) => Ok(number.as_f64().unwrap_or_default() * factor),
        Some(Value::Null) => Err(match report["pass_reason"].as_str().filter(|_| path == "pass_count") {
            Some(reason) => format!("{}: {reason}", absent()),
            None => absent(),
        }),
        Some(_) => Err(format!("{name} is no number")),
        None => {
            let own = report.as_object().into_iter().flat_map(|report| report.keys().map(String::as_str));
            let unknown = unknown(name, own);
            Err(format!("{unknown} (`sully-lab report DIR --json` prints all of them)"))
        }
    }
}

/// The value at a path of names with dots between them; an item of a list goes by its `name`, its `of`, or its number.
fn at<'a>(report: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(report, |value, key| match value {
        Value::Array(items) => {
            let is_called = |item: &&Value| {
                item.get("name").or_else(|| item.get("of")).and_then(Value::as_str) == Some(key)
            };
            items.iter().find(is_called).or_else(|| items.get(key.parse::<usize>().ok()?))
        }
        Value::Null => Some(&Value::Null),
        _ => value.get(key),
    })
}

/// The largest ratio of a percentile to the baseline's, from intended start to end, of all stages of the migration.
fn slowdown(report: &Value, of: &str) -> Option<f64> {
    highest(report, "analysis.stages", |stage| {
        let is_quiet = QUIET_STAGES.iter().any(|quiet| stage["name"] == *quiet);
        if is_quiet { None } else { at(&stage["slowdown"]["response"], of)?["ratio"].as_f64() }
    })
}

/// Why no stage of the migration has that ratio, where one says it.
fn why_no_slowdown(report: &Value, of: &str) -> Option<String> {
    let stages = at(report, "analysis.stages")?.as_array()?;
    let reason =
        |stage: &Value| at(&stage["slowdown"]["response"], of)?["reason"].as_str().map(str::to_owned);
    stages.iter().find_map(reason)
}

fn highest(report: &Value, list: &str, of: impl Fn(&Value) -> Option<f64>) -> Option<f64> {
    at(report, list)?.as_array()?.iter().filter_map(of).max_by(f64::total_cmp)
}

/// The names without a path.
fn short_names() -> impl Iterator<Item = &'static str> {
    NAMED.into_iter().map(|(name, ..)| name).chain(MORE)
}

/// That there is no figure of this name, and which may have been meant: one with a short name, or one of `more`.
fn unknown<'a>(name: &str, more: impl Iterator<Item = &'a str>) -> String {
    let known = short_names().chain(["slowdown.p99"]).map(|known: &str| known);
    let meant = nearest(name, more.chain(known));
    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    format!("a report has no figure {name}{meant}")
}

/// A whole number as it is, others to three places at least.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 { value.to_string() } else { figure::figure(value, 3) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::Story;

    fn said(story: &Story, demands: &[&str]) -> Vec<String> {
        let demands: Vec<Demand> = demands.iter().map(|text| text.parse().unwrap()).collect();
        unmet(&RunView::new(story.run_data().data()), &demands).unwrap()
    }

    #[test]
    fn demands_that_are_met_say_nothing_and_others_say_the_figure() {
        let met =
            ["passes >= 2", "slowdown.p99 > 0", "phases.precopy.gaps.share < 1", "phases.0.intervals > 0"];
        assert_eq!(said(&Story::auto_converge(), &met), <[String; 0]>::default());
        let unmet = said(&Story::precopy(), &["downtime_ms < 1", "pages.corrupt == 0"]);
        assert!(
            unmet[0].starts_with("downtime_ms is ") && unmet[0].ends_with("demands downtime_ms < 1"),
            "{unmet:?}"
        );
        let nobody_looked = "the report has no pages.corrupt of this run";
        assert!(unmet[1].ends_with(nobody_looked), "{unmet:?}");
        let throttled = said(&Story::auto_converge(), &["throttle_percent > 100"]);
        assert!(throttled[0].starts_with("throttle_percent is "), "{throttled:?}");
    }

    #[test]
    fn a_figure_that_is_absent_or_unknown_is_no_pass() {
        let said = said(
            &Story::precopy(),
            &["throttle_percent < 50", "downtimes_ms < 3", "name < 3", "postcopy.requests < 3"],
        );
        assert!(
            said[0].contains("cannot be judged: the report has no throttle_percent of this run"),
            "{said:?}"
        );
        assert!(said[1].contains("did you mean downtime_ms?") && said[1].contains("--json"), "{said:?}");
        assert!(said[2].contains("name is no number"), "{said:?}");
        assert!(said[3].contains("the report has no postcopy.requests of this run"), "{said:?}");
    }

    #[test]
    fn a_demand_that_no_run_can_meet_is_known_before_it() {
        let said = |text: &str| never_met(&[text.parse().unwrap()]).join("");
        for wrong in ["downtim_ms < 3", "slowdown.p98 < 2", "..... == 1", "phases < 1"] {
            assert!(said(wrong).contains("a report has no figure"), "{wrong}");
        }
        assert!(said("downtim_ms < 3").ends_with("did you mean downtime_ms?"));
        for right in ["downtime_ms < 3", "slowdown.p99 < 2", "pages.corrupt == 0", "phases.0.intervals > 1"] {
            assert_eq!(said(right), "", "{right}");
        }
    }

    #[test]
    fn every_short_name_is_a_path_of_the_report() {
        let report = run_json(&RunView::new(Story::precopy().run_data().data())).unwrap();
        for (name, path, _) in NAMED {
            assert!(at(&report, path).is_some(), "{name}: {path}");
        }
    }
}
