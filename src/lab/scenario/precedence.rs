//! Whose value counts: a plan file's goes before a scenario's, and what `--set` names goes before both.

use super::change::{changed, value};
use super::{LoadSpec, Scenario};
use crate::plan::{PlanFile, on_or_off, write_bytes};

/// Gives `scenario` the values of its plan, but for the keys in `set`. What went before what, in sentences.
///
/// # Errors
/// Values of the plan that a load cannot have here, and keys of `set` that cannot count beside it.
pub(super) fn settle(scenario: &mut Scenario, set: &[&str]) -> Result<Vec<String>, Vec<String>> {
    // What is wrong with the plan as such is for the check to say.
    let Some(file) = scenario.load.plan.as_ref().and_then(|text| PlanFile::parse(text).ok()) else {
        return Ok(Vec::new());
    };
    let (mut by_plan, mut by_set, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for (flag, text) in &file.flags {
        let Some(key) = key_of(flag) else {
            faults.push(format!(
                "load.plan, {flag} = {text} would end the load by itself, maybe in the middle of the migration: leave it out"
            ));
            continue;
        };
        let planned = match taken(flag, text).and_then(|text| changed(scenario, &key, &text)) {
            Ok(planned) => planned,
            Err(message) => {
                faults.push(format!("load.plan, {flag}: {message}"));
                continue;
            }
        };
        let [own, other] = [&*scenario, &planned].map(|of| value(of, &key).unwrap_or_else(|| "none".into()));
        if own == other {
        } else if set.contains(&key.as_str()) {
            by_set.push(format!("{key} = {own}, not {other}"));
        } else {
            by_plan.push(format!("{key} = {other}, not {own}"));
            *scenario = planned;
        }
    }
    if !file.regions.is_empty() && set.contains(&"load.memory") {
        faults.push(
            "load.memory cannot be set beside a plan with regions: each says its own in the plan".into(),
        );
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut notes = Vec::new();
    if !by_plan.is_empty() {
        notes.push(format!(
            "the plan goes before the scenario: {} (--set goes before both)",
            by_plan.join("; ")
        ));
    }
    if !by_set.is_empty() {
        notes.push(format!("--set goes before the plan: {}", by_set.join("; ")));
    }
    notes.extend(own_words(&file, set));
    Ok(notes)
}

/// The keys of `set` that count less than they seem to, because parts of the plan say their own.
fn own_words(file: &PlanFile, set: &[&str]) -> Option<String> {
    let phases = |says: fn(&crate::plan::PhaseAsked) -> bool| file.phases.iter().any(says);
    let regions =
        |says: fn(&crate::plan::Habits) -> bool| file.regions.iter().any(|region| says(&region.habits));
    let own = [
        ("load.rate", phases(|phase| phase.rate.is_some() || phase.ramp.is_some())),
        ("load.pace", phases(|phase| phase.pace.is_some())),
        ("load.backlog", phases(|phase| phase.backlog.is_some())),
        ("load.pattern", phases(|phase| phase.pattern.is_some()) || regions(|said| said.pattern.is_some())),
        ("load.reads", phases(|phase| phase.reads.is_some()) || regions(|said| said.reads.is_some())),
        (
            "load.write_bytes",
            phases(|phase| phase.write_bytes.is_some()) || regions(|said| said.write_bytes.is_some()),
        ),
        ("load.content", phases(|phase| phase.content.is_some()) || regions(|said| said.content.is_some())),
    ];
    let less: Vec<&str> =
        own.iter().filter(|(key, says)| *says && set.contains(key)).map(|(key, _)| *key).collect();
    (!less.is_empty()).then(|| {
        format!("--set {} counts only where no phase or region of the plan says its own", less.join(", "))
    })
}

/// The scenario's key of a plan's flag; none for the one that a scenario has not.
fn key_of(flag: &str) -> Option<String> {
    match flag {
        "duration" => None,
        "write" => Some("load.write_bytes".into()),
        flag => Some(format!("load.{}", flag.replace('-', "_"))),
    }
}

/// A plan's value as the scenario's key takes it.
fn taken(flag: &str, text: &str) -> Result<String, String> {
    match flag {
        "write" => write_bytes(text).map(|bytes| bytes.to_string()).map_err(|error| error.to_string()),
        "verify" => on_or_off(text).map(|on| on.to_string()).map_err(|error| error.to_string()),
        _ => Ok(text.to_owned()),
    }
}

impl LoadSpec {
    /// The load as it is when only the plan says something; the usual one where there is none.
    pub(super) fn planned(&self) -> Self {
        let mut scenario = Scenario::default();
        let file = self.plan.as_ref().and_then(|text| PlanFile::parse(text).ok()).unwrap_or_default();
        for (flag, text) in &file.flags {
            let said = key_of(flag).zip(taken(flag, text).ok());
            if let Some(Ok(changed)) = said.map(|(key, text)| changed(&scenario, &key, &text)) {
                scenario = changed;
            }
        }
        scenario.load
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Resolved, find};

    /// The built-in light scenario with a plan of this text, and more of `--set`.
    fn with_plan(plan: &str, set: &[&str]) -> Result<Resolved, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plan.toml");
        std::fs::write(&file, plan).unwrap();
        let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
        let all = [vec![format!("load.plan={}", file.display()), "vm.memory=2G".into()], set].concat();
        find("smoke/precopy", &all).map_err(|error| error.to_string())
    }

    #[test]
    fn the_plans_rate_goes_before_the_scenarios_and_the_run_says_so() {
        let Resolved { scenario, notes } = with_plan("rate = \"160M/s\"\n", &[]).unwrap();
        assert_eq!(scenario.load.rate.to_string(), "160M/s");
        assert!(!scenario.load.guest_arguments().contains(" -r "), "{}", scenario.load.guest_arguments());
        assert_eq!(
            notes,
            ["the plan goes before the scenario: load.rate = 160M/s, not 8M/s (--set goes before both)"]
        );
    }

    #[test]
    fn set_goes_before_the_plan_even_where_it_says_the_usual() {
        let plan = "rate = \"160M/s\"\npages = \"thp\"\nverify = \"off\"\n";
        let set = ["load.rate=60M/s", "load.pages=4k", "load.verify=true"];
        let Resolved { scenario, notes } = with_plan(plan, &set).unwrap();
        let told = scenario.load.guest_arguments();
        for part in [" -r 60M/s", " --pages 4k", " --verify on"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("--set goes before the plan: "), "{notes:?}");
        assert!(notes[0].contains("load.rate = 60M/s, not 160M/s"), "{notes:?}");
    }

    #[test]
    fn what_the_plan_leaves_out_is_the_scenarios() {
        let Resolved { scenario, notes } = with_plan("baseline = \"7s\"\nwrite = \"page\"\n", &[]).unwrap();
        let told = scenario.load.guest_arguments();
        assert_eq!(told, "run --plan /plan.toml -m 32M -r 8M/s --baseline 7s -i 100ms --report virtio");
        assert!(notes[0].contains("load.baseline = 7s, not 4s; load.write_bytes = 4096, not 8"), "{notes:?}");
    }

    #[test]
    fn what_cannot_count_is_refused_or_said() {
        let region = "[[region]]\nname = \"a\"\nmemory = \"8M\"\npattern = \"random\"\n";
        let refused = with_plan(region, &["load.memory=9M"]).unwrap_err();
        assert!(refused.contains("load.memory cannot be set beside a plan with regions"), "{refused}");
        let notes = with_plan(region, &["load.pattern=sequential"]).unwrap().notes;
        assert_eq!(
            notes,
            ["--set load.pattern counts only where no phase or region of the plan says its own"]
        );
        let refused = with_plan("rate = \"fast\"\nduration = \"9s\"\n", &[]).unwrap_err();
        assert!(refused.contains("load.plan, rate: 'fast' is not a dirty rate"), "{refused}");
        assert!(refused.contains("load.plan, duration = 9s would end the load"), "{refused}");
    }

    #[test]
    fn whatever_a_plan_may_say_counts_in_a_scenario_but_the_runs_end() {
        let plan = "memory = \"40M\"\npages = \"thp\"\nbacking = \"shared\"\nnuma = \"0\"\nlock = true\nrate = \"9M/s\"\n\
            pattern = \"random\"\npace = \"poisson\"\nbacklog = \"shed\"\ncatch-up = 2\nreads = \"5%\"\nwrite = 64\n\
            content = \"compress:50\"\ndedup = \"0%\"\nverify = \"on\"\nclock = \"tsc\"\ncanary = \"10ms\"\nthreads = 1\n\
            baseline = \"6s\"\ninterval = \"200ms\"\nseed = 7\n";
        let Resolved { scenario, notes } = with_plan(plan, &[]).unwrap();
        assert_eq!(scenario.load.canary.to_string(), "10ms");
        for key in
            ["memory", "pages", "backing", "numa", "lock", "rate", "pattern", "pace", "backlog", "catch_up"]
                .into_iter()
                .chain([
                    "reads",
                    "write_bytes",
                    "content",
                    "clock",
                    "canary",
                    "threads",
                    "baseline",
                    "interval",
                    "seed",
                ])
        {
            assert!(notes[0].contains(&format!("load.{key} = ")), "{key} in {notes:?}");
        }
    }
}
