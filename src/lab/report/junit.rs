//! What became of runs as JUnit XML, for whatever shows the tests of a CI: a case for each thing that was expected.

use super::{demands::unmet, facts::date, headline::headline_of, integrity::corrupt_pages};
use crate::{
    lab::{rundir::RunData, scenario::Demand, view::RunView},
    record::{MilestoneName, Outcome, StreamAudit},
};
use serde_json::Value;
use std::fmt::Write;

/// What came of an expectation.
#[derive(Debug)]
enum CaseResult {
    /// It holds.
    Passed,
    /// It does not.
    Failed(String),
    /// The run could not tell.
    Error(String),
    /// Nobody expected it, or it could not be told.
    Skipped(String),
}

/// One run, or one that could not be.
#[derive(Debug)]
pub struct JunitSuite {
    name: String,
    time_s: f64,
    /// As the schema wants it: a date and a time of day, UTC.
    timestamp: String,
    cases: Vec<(String, CaseResult)>,
    headline: String,
}

impl JunitSuite {
    /// A run that can be read.
    pub fn of(view: &RunView, demands: &[Demand]) -> Self {
        let data = view.data();
        let length_s = view.timeline().phases.iter().map(|phase| phase.figures.span.length_s()).sum();
        let mut cases = vec![
            ("load held".to_owned(), load_held(data)),
            ("records complete".to_owned(), records_complete(&data.run.stream)),
            ("pages intact".to_owned(), pages_intact(data)),
        ];
        let own: Vec<Demand> = if demands.is_empty() { demands_of(data) } else { demands.to_vec() };
        cases.extend(unasked(&own));
        cases.extend(own.iter().map(|demand| (demand.to_string(), held(view, demand))));
        cases.push(("verdict".to_owned(), verdict(data)));
        let day = date(data.run.clock.real_ns);
        Self {
            name: format!("{}/{}", data.run.name, data.dir_name),
            time_s: length_s,
            timestamp: day.strip_suffix(" UTC").unwrap_or("1970-01-01 00:00:00").replace(' ', "T"),
            cases,
            headline: headline_of(view),
        }
    }

    /// A run that could not be, or cannot be read, and why.
    pub fn failed(name: &str, why: String) -> Self {
        Self {
            name: name.to_owned(),
            time_s: 0.0,
            timestamp: "1970-01-01T00:00:00".into(),
            headline: why.clone(),
            cases: vec![("verdict".into(), CaseResult::Error(why))],
        }
    }
}

/// The document: a suite for each run.
pub fn junit(suites: &[JunitSuite]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (id, suite) in suites.iter().enumerate() {
        write_suite(&mut text, id, suite);
    }
    text + "</testsuites>\n"
}

fn write_suite(text: &mut String, id: usize, suite: &JunitSuite) {
    let count = |is: fn(&CaseResult) -> bool| suite.cases.iter().filter(|(_, result)| is(result)).count();
    let failures = count(|result| matches!(result, CaseResult::Failed(_)));
    let errors = count(|result| matches!(result, CaseResult::Error(_)));
    let skipped = count(|result| matches!(result, CaseResult::Skipped(_)));
    let (name, tests) = (escaped(&suite.name), suite.cases.len());
    let JunitSuite { time_s, timestamp, .. } = suite;
    // A string takes whatever is written to it.
    let _ = writeln!(
        text,
        "  <testsuite id=\"{id}\" package=\"sully\" name=\"{name}\" hostname=\"localhost\" timestamp=\"{timestamp}\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{time_s:.3}\">\n    <properties/>"
    );
    for (case, result) in &suite.cases {
        let _ =
            write!(text, "    <testcase name=\"{}\" classname=\"sully.{name}\" time=\"0\"", escaped(case));
        let _ = match result {
            CaseResult::Passed => writeln!(text, "/>"),
            CaseResult::Failed(why) => child(text, "failure", " type=\"judged\"", why),
            CaseResult::Error(why) => child(text, "error", " type=\"unfinished\"", why),
            CaseResult::Skipped(why) => child(text, "skipped", "", why),
        };
    }
    let said = escaped(&suite.headline);
    let _ = writeln!(text, "    <system-out>{said}</system-out>\n    <system-err/>\n  </testsuite>");
}

fn child(text: &mut String, name: &str, more: &str, why: &str) -> std::fmt::Result {
    writeln!(text, ">\n      <{name}{more} message=\"{}\"/>\n    </testcase>", escaped(why))
}

/// A text as XML takes it, in an attribute or between tags; what XML has no place for is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            letter if letter.is_control() => {}
            letter => out.push(letter),
        }
    }
    out
}

fn load_held(data: &RunData) -> CaseResult {
    let reasons = || data.run.verdict.reasons.join("; ");
    if data.run.when(MilestoneName::Steady).is_some() {
        CaseResult::Passed
    } else if data.is_unjudged() {
        CaseResult::Skipped("a session that was only collected: nobody waited for a steady load".into())
    } else if data.run.measured.as_ref().is_some_and(|measured| measured.command.is_empty()) {
        CaseResult::Skipped("no command was run, so nobody waited for a steady load".into())
    } else {
        CaseResult::Failed(format!("the load was never steady: {}", reasons()))
    }
}

fn records_complete(stream: &StreamAudit) -> CaseResult {
    let StreamAudit { records, holes, doubles, torn, dropped_by_guest, unwritten, .. } = *stream;
    if stream.is_sound() && dropped_by_guest == 0 && unwritten == 0 && records > 0 {
        return CaseResult::Passed;
    }
    CaseResult::Failed(format!(
        "of {records} records {holes} are missing, {doubles} came twice, {torn} lines were torn, the guest gave up {dropped_by_guest}, \
         {unwritten} found no room"
    ))
}

fn pages_intact(data: &RunData) -> CaseResult {
    let is_proof = data.run.scenario.pointer("/expect/corruption") == Some(&Value::Bool(true));
    let why = data.run.measured.as_ref().and_then(|measured| measured.pages_reason.clone());
    match corrupt_pages(data) {
        None => CaseResult::Skipped(why.unwrap_or_else(|| "no page was looked at in the end".into())),
        Some(0) if is_proof => {
            CaseResult::Failed("no corrupt page was found, expect.corruption is true".into())
        }
        Some(pages) if pages > 0 && !is_proof => {
            CaseResult::Failed(format!("{pages} pages did not hold what was written there"))
        }
        Some(_) => CaseResult::Passed,
    }
}

/// Downtime and slowdown, where nobody said what they may be.
fn unasked(demands: &[Demand]) -> impl Iterator<Item = (String, CaseResult)> {
    let is_asked =
        |of: &[&str]| demands.iter().any(|demand| of.iter().any(|name| demand.figure.starts_with(name)));
    let cases = [
        ("downtime", is_asked(&["downtime_ms", "blackout", "stop_to_resume"]), "'blackout_ms < 300'"),
        ("slowdown", is_asked(&["slowdown."]), "'slowdown.p99 < 20'"),
    ];
    cases.into_iter().filter(|(_, is_asked, _)| !is_asked).map(|(name, _, example)| {
        let why = format!("nobody said what it may be: --expect, or expect.figures, for example {example}");
        (name.to_owned(), CaseResult::Skipped(why))
    })
}

/// What the run itself says was demanded of its figures.
fn demands_of(data: &RunData) -> Vec<Demand> {
    let figures = data.run.scenario.pointer("/expect/figures").and_then(Value::as_array);
    let asked = figures.into_iter().flatten().filter_map(Value::as_str);
    let measured = data.run.measured.iter().flat_map(|measured| measured.expect.iter().map(String::as_str));
    asked.chain(measured).filter_map(|text| text.parse().ok()).collect()
}

fn held(view: &RunView, demand: &Demand) -> CaseResult {
    match unmet(view, std::slice::from_ref(demand)) {
        Ok(reasons) if reasons.is_empty() => CaseResult::Passed,
        Ok(reasons) => CaseResult::Failed(reasons.join("; ")),
        Err(error) => CaseResult::Error(error.to_string()),
    }
}

/// The whole verdict, so that no reason is missing.
fn verdict(data: &RunData) -> CaseResult {
    let reasons = data.run.verdict.reasons.join("; ");
    match data.run.verdict.outcome {
        _ if data.is_unjudged() => {
            CaseResult::Skipped("nobody judges a session that was only collected".into())
        }
        Outcome::Passed => CaseResult::Passed,
        Outcome::Judged => CaseResult::Failed(reasons),
        Outcome::Failed | Outcome::Interrupted => CaseResult::Error(reasons),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::timeline::fixture::Story;

    fn suite(change: impl FnOnce(&mut crate::record::Run), demands: &[&str]) -> String {
        let mut data = Story::precopy().run_data().data();
        change(&mut data.run);
        let demands: Vec<Demand> = demands.iter().map(|demand| demand.parse().unwrap()).collect();
        junit(&[JunitSuite::of(&RunView::new(data), &demands)])
    }

    /// The line of a case and, where it did not pass, of what it says.
    fn case(text: &str, name: &str) -> String {
        let at = text.find(&format!("<testcase name=\"{name}\"")).unwrap();
        text[at..].lines().take(2).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_expectation_is_a_case_and_the_headline_is_what_the_suite_says() {
        let text = suite(|_| {}, &["downtime_ms < 5000", "passes < 1"]);
        assert!(text.contains("tests=\"7\" failures=\"1\" errors=\"0\" skipped=\"2\""), "{text}");
        for passed in ["load held", "records complete", "downtime_ms &lt; 5000", "verdict"] {
            assert!(case(&text, passed).lines().next().unwrap().ends_with("/>"), "{passed}: {text}");
        }
        assert!(
            case(&text, "passes &lt; 1").contains("<failure type=\"judged\" message=\"passes is "),
            "{text}"
        );
        assert!(case(&text, "slowdown").contains("<skipped message=\"nobody said"), "{text}");
        assert!(text.contains("<system-out>Pre-copy: completed in "), "{text}");
        assert!(text.contains("timestamp=\"20"), "{text}");
    }

    #[test]
    fn a_run_that_failed_is_an_error_and_one_that_was_judged_a_failure() {
        let ended = |outcome| {
            let text = suite(
                |run| {
                    run.verdict.outcome = outcome;
                    run.verdict.reasons = vec!["<\"&\u{1b}[2J\u{0}>".into()];
                    run.milestones.retain(|milestone| milestone.name != MilestoneName::Steady);
                    run.stream.holes = 3;
                },
                &[],
            );
            assert!(case(&text, "records complete").contains("3 are missing"), "{text}");
            assert!(case(&text, "load held").contains("never steady"), "{text}");
            assert!(!text.contains('\u{1b}') && text.contains("&lt;&quot;&amp;[2J&gt;"), "{text}");
            case(&text, "verdict")
        };
        assert!(ended(Outcome::Judged).contains("<failure "));
        assert!(
            ended(Outcome::Failed).contains("<error ") && ended(Outcome::Interrupted).contains("<error ")
        );
        let text = junit(&[JunitSuite::failed("measure", "no such host".into())]);
        assert!(text.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{text}");
    }

    #[test]
    fn what_a_run_demanded_is_remembered_by_it() {
        let text =
            suite(|run| run.scenario = serde_json::json!({"expect": {"figures": ["passes < 1"]}}), &[]);
        assert!(case(&text, "passes &lt; 1").contains("<failure "), "{text}");
    }
}
