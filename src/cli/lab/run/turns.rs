//! Which runs a command line asks for, and in which order: in turns, so that what changes on the host meets all alike.

use super::args::RunArgs;
use crate::files::read_text;
use crate::lab::{
    report::never_met,
    run::Host,
    rundir::RUN_FILE,
    scenario::{Resolved, ScenarioError, again, expand, too_long, variants},
    wrong::given,
};
use crate::record::Run;
use std::path::Path;

/// The longest `run.json` that is read for its scenario, in bytes.
const RUN_LIMIT_BYTES: u64 = 16 << 20;

/// What the scenario of a run has, since every value of it was resolved.
const SECTIONS: [&str; 4] = ["vm", "load", "migration", "expect"];

/// Every scenario that is asked for.
///
/// # Errors
/// The first that is not there or not right.
pub fn wanted(args: &RunArgs) -> Result<Vec<Resolved>, ScenarioError> {
    let mut wanted = Vec::new();
    for name in args.scenarios.iter().flat_map(|name| expand(name)) {
        wanted.extend(variants(name, args.place.scale, &args.place.set, &args.scan)?);
    }
    for dir in &args.again {
        wanted.push(again(&scenario_of(dir)?, &dir.display().to_string(), &args.place.set)?);
    }
    for Resolved { scenario, .. } in &wanted {
        let never = never_met(&scenario.expect.figures);
        if !never.is_empty() {
            let (origin, message) = (scenario.name.clone(), never.join("; "));
            return Err(ScenarioError::Wrong { origin, place: String::new(), message });
        }
    }
    Ok(wanted)
}

/// The scenario of the run in `dir`.
fn scenario_of(dir: &Path) -> Result<serde_json::Value, ScenarioError> {
    let path = dir.join(RUN_FILE);
    let unreadable = |reason: String| ScenarioError::Unreadable {
        path: path.display().to_string(),
        reason: format!("{reason}; --again takes a directory that `sully-lab run` made"),
    };
    let text = read_text(&path, RUN_LIMIT_BYTES).map_err(|error| unreadable(error.to_string()))?;
    let mut run: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    if run.get("schema").and_then(serde_json::Value::as_u64) != Some(u64::from(Run::SCHEMA)) {
        return Err(unreadable(format!("it is not of schema {}", Run::SCHEMA)));
    }
    let scenario = run.get_mut("scenario").map(serde_json::Value::take).unwrap_or_default();
    match SECTIONS.iter().find(|section| !scenario[**section].is_object()) {
        None => Ok(scenario),
        Some(section) => Err(unreadable(format!("its scenario has no section {section}"))),
    }
}

/// Every run: its round, its scenario, and what it runs on. Where there are several QEMUs, the scenario's name says which.
pub fn turns<'a>(
    rounds: u32,
    scenarios: &'a [Resolved],
    hosts: &'a [Host],
) -> impl Iterator<Item = (u32, Resolved, &'a Host)> {
    (1..=rounds).flat_map(move |round| {
        scenarios.iter().flat_map(move |scenario| {
            let numbered = hosts.iter().zip(1..);
            numbered.map(move |(host, number)| {
                (round, called(scenario, hosts.len(), number, host.version().text()), host)
            })
        })
    })
}

/// That each scenario's runs by several QEMUs have names that `--again` takes.
///
/// # Errors
/// The first name that is too long.
pub fn nameable(scenarios: &[Resolved], hosts: &[Host]) -> anyhow::Result<()> {
    let versions: Vec<&str> = hosts.iter().map(|host| host.version().text()).collect();
    name_fault(scenarios, &versions).map_or(Ok(()), |fault| given(Err(anyhow::anyhow!(fault))))
}

fn name_fault(scenarios: &[Resolved], versions: &[&str]) -> Option<String> {
    scenarios.iter().find_map(|scenario| {
        let mut named = versions.iter().zip(1..);
        let fault = named.find_map(|(version, number)| {
            too_long(&called(scenario, versions.len(), number, version).scenario.name)
        })?;
        Some(format!("{fault}; --set name=NAME gives a shorter one"))
    })
}

/// The scenario under the name that it has beside the same one by other QEMUs.
fn called(scenario: &Resolved, hosts: usize, number: usize, version: &str) -> Resolved {
    let mut scenario = scenario.clone();
    if hosts > 1 {
        let version = version.split_whitespace().next().unwrap_or_default();
        let good = |character: &char| character.is_ascii_alphanumeric() || *character == '.';
        let version: String = version.chars().filter(good).collect();
        let name = &mut scenario.scenario.name;
        *name = format!("{name}/qemu{number}-{version}");
    }
    scenario
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::find;
    use clap::Parser;
    use std::fs;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    fn asked(line: &[&str]) -> Result<Vec<Resolved>, ScenarioError> {
        wanted(&Line::try_parse_from([&["x"], line].concat()).unwrap().run)
    }

    #[test]
    fn a_run_of_before_is_asked_for_by_its_directory_alone() {
        let dir = tempfile::tempdir().unwrap();
        let scenario = find("qemu/recover", &["load.rate=7M/s".into()]).unwrap().scenario;
        let run = serde_json::json!({ "schema": 1, "scenario": scenario });
        fs::write(dir.path().join(RUN_FILE), run.to_string()).unwrap();
        let path = dir.path().display().to_string();
        assert_eq!(asked(&["--again", &path]).unwrap()[0].scenario, scenario);
        let changed = asked(&["--again", &path, "--set", "load.rate=9M/s"]).unwrap();
        assert_eq!(changed[0].scenario.load.asked.rate.to_string(), "9M/s");
        let said = asked(&["--again", "/nonexistent"]).unwrap_err().to_string();
        assert!(said.contains("/nonexistent/run.json") && said.contains("`sully-lab run` made"), "{said}");
        for damaged in [
            "{}",
            "[]",
            "5",
            "{\"schema\": 1}",
            "{\"schema\": 1, \"scenario\": 5}",
            "{\"schema\": 1, \"scenario\": {\"vm\": {}}}",
        ] {
            fs::write(dir.path().join(RUN_FILE), damaged).unwrap();
            let said = asked(&["--again", &path]).unwrap_err().to_string();
            assert!(
                said.contains("it is not of schema 1") || said.contains("has no section"),
                "{damaged}: {said}"
            );
        }
        assert!(Line::try_parse_from(["x", "--again", &path, "--scale", "1/8"]).is_err());
    }

    #[test]
    fn every_scenario_of_a_kind_is_asked_for_with_every_value_of_a_scan() {
        assert_eq!(asked(&["smoke/*", "--scan", "vm.cpus=1,2"]).unwrap().len(), 6);
        assert!(Line::try_parse_from(["x"]).is_err(), "nothing is asked for");
        let never =
            asked(&["smoke/precopy", "--set", "expect.figures=downtim_ms<3"]).unwrap_err().to_string();
        assert!(never.contains("did you mean downtime_ms?"), "{never}");
    }

    #[test]
    fn a_name_that_is_too_long_with_a_qemus_is_refused_before_any_vm_boots() {
        let named = |letters: usize| {
            let name = format!("name={}", "x".repeat(letters));
            [find("smoke/precopy", &[name]).unwrap()]
        };
        assert_eq!(name_fault(&named(100), &["7.2.22"]), None, "one QEMU adds nothing");
        assert_eq!(name_fault(&named(87), &["7.2.22", "11.1"]), None, "13 are added");
        let fault = name_fault(&named(88), &["7.2.22", "11.1"]).unwrap();
        assert!(
            fault.contains("xx/qemu1-7.2.22 is too long a name for a run: at most 100 letters"),
            "{fault}"
        );
        assert!(fault.contains("--set name=NAME"), "{fault}");
    }

    #[test]
    fn runs_by_two_qemus_are_told_apart_by_name() {
        let scenario = find("smoke/precopy", &[]).unwrap();
        assert_eq!(called(&scenario, 1, 1, "7.2.22 (Debian)").scenario.name, "smoke/precopy");
        let two = [(1, "7.2.22 (Debian)"), (2, "11.1.0-rc1 (x)")];
        let names = two.map(|(number, version)| called(&scenario, 2, number, version).scenario.name);
        assert_eq!(names, ["smoke/precopy/qemu1-7.2.22", "smoke/precopy/qemu2-11.1.0rc1"]);
    }
}
