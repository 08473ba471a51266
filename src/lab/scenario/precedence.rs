//! Whose value counts: a plan file's goes before a scenario's, and what `--set` names goes before both.

use super::keys::parameter;
use super::{Scenario, link_rate};
use crate::plan::{Parameter, Plan, PlanFile, Scope, Setting, ValueKind};

/// Gives `scenario` the values of its plan, but for the keys in `set`. What went before what, in sentences.
///
/// # Errors
/// Values of the plan that a load cannot have here, and keys of `set` that cannot count beside it.
pub(super) fn settle(scenario: &mut Scenario, set: &[&str]) -> Result<Vec<String>, Vec<String>> {
    // What is wrong with the plan as such is for the check to say.
    let file =
        scenario.load.plan.as_ref().map_or_else(|| Ok(PlanFile::default()), |text| PlanFile::parse(text));
    let Ok(file) = file else { return Ok(Vec::new()) };
    let is_set = |key: &str| set.iter().any(|set| parameter(set).is_some_and(|named| named.key == key));
    let asked = &mut scenario.load.asked;
    let (mut by_plan, mut by_set, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for setting in &file.settings {
        let Some(parameter) = Parameter::called(setting.name(), Scope::Scenario) else {
            faults.push(unfit(setting));
            continue;
        };
        let mut planned = asked.clone();
        planned.take([setting]);
        let [own, other] = [&*asked, &planned].map(|plan| shown(plan, parameter));
        // A rate that is tied to the link is another, even where it comes to the same.
        let tied = scenario.load.link_share.filter(|_| parameter.name == "rate");
        let own = tied.map_or(own, link_rate::tied_text);
        if own == other {
        } else if is_set(parameter.key) {
            by_set.push(format!("{} = {own}, not {other}", parameter.key));
        } else {
            by_plan.push(format!("{} = {other}, not {own}", parameter.key));
            *asked = planned;
            scenario.load.link_share = scenario.load.link_share.filter(|_| parameter.name != "rate");
        }
    }
    if !file.regions.is_empty() && is_set("load.memory") {
        faults.push(
            "load.memory cannot be set beside a plan with regions: each says its own in the plan".into(),
        );
    }
    if let Some(memory) =
        file.settings.iter().find(|said| said.name() == "memory" && !file.regions.is_empty())
    {
        faults.push(format!(
            "load.plan, memory = {} is not divided among regions: leave it out, each says its own",
            memory.text()
        ));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    by_plan.extend(take_parts(asked, file));
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
    notes.extend(own_words(asked, is_set));
    Ok(notes)
}

/// What is wrong with a value that a plan may have, and the load of a scenario may not.
fn unfit(setting: &Setting) -> String {
    let (what, way_out) = match setting.name() {
        "dirty" => ("hold the load still", "leave it out; cycle.dirty has so much dirtied before each save"),
        _ => ("end the load by itself, maybe in the middle of the migration", "leave it out"),
    };
    format!("load.plan, {} = {} would {what}: {way_out}", setting.name(), setting.text())
}

/// Puts the regions and phases of `file` into their places; what of the scenario's own they replace, in words.
fn take_parts(asked: &mut Plan, file: PlanFile) -> Vec<String> {
    let mut replaced = Vec::new();
    let mut note = |key: &str, own: usize, is_other: bool| {
        if own > 0 && is_other {
            replaced.push(format!("every load.{key} is the plan's, not one of the scenario's {own}"));
        }
    };
    if !file.regions.is_empty() {
        note("region", asked.regions.len(), asked.regions != file.regions);
        (asked.regions, asked.memory) = (file.regions, Plan::default().memory);
    }
    if !file.phases.is_empty() {
        note("phase", asked.phases.len(), asked.phases != file.phases);
        asked.phases = file.phases;
    }
    replaced
}

/// The keys of `--set` that count less than they seem to, because parts of the plan say their own.
fn own_words(asked: &Plan, is_set: impl Fn(&str) -> bool) -> Option<String> {
    let is_said = |name: &str| {
        asked.phases.iter().any(|phase| phase.says(name))
            || asked.regions.iter().any(|region| region.says(name))
    };
    let less: Vec<&str> = Parameter::all_in(Scope::Scenario)
        .filter(|parameter| is_set(parameter.key) && is_said(parameter.name))
        .map(|parameter| parameter.key)
        .collect();
    (!less.is_empty()).then(|| {
        format!("--set {} counts only where no phase or region of the plan says its own", less.join(", "))
    })
}

/// The value as a scenario file has it, without quotes.
fn shown(plan: &Plan, parameter: &Parameter) -> String {
    match (parameter.kind, plan.text(parameter.name)) {
        (ValueKind::Truth, text) => matches!(text.as_deref(), Some("true" | "on")).to_string(),
        (_, text) => text.unwrap_or_else(|| "none".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Resolved, find};
    use super::*;

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
        assert_eq!(scenario.load.asked.rate.to_string(), "160M/s");
        assert_eq!(
            notes,
            ["the plan goes before the scenario: load.rate = 160M/s, not 8M/s (--set goes before both)"]
        );
    }

    #[test]
    fn a_plans_rate_unties_a_load_from_the_link_even_where_it_comes_to_the_same() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plan.toml"), "rate = \"20M/s\"\n").unwrap();
        let file = dir.path().join("tied.toml");
        let tied = "[load]\nplan = \"plan.toml\"\nrate = \"50%link\"\n[migration]\nbandwidth = \"40M/s\"\n";
        std::fs::write(&file, tied).unwrap();
        let find = |set: &[String]| find(&file.display().to_string(), set).unwrap();
        let planned = find(&[]);
        assert_eq!(
            (planned.scenario.load.link_share, planned.scenario.load.rate_text()),
            (None, "20M/s".into())
        );
        assert!(planned.notes[0].contains("load.rate = 20M/s, not 50%link"), "{:?}", planned.notes);
        let set = find(&["load.rate=50%link".into()]);
        assert_eq!(set.scenario.load.rate_text(), "50%link");
        assert!(set.notes[0].contains("load.rate = 50%link, not 20M/s"), "{:?}", set.notes);
    }

    #[test]
    fn set_goes_before_the_plan_even_where_it_says_the_usual() {
        let plan = "rate = \"160M/s\"\npages = \"thp\"\nverify = \"off\"\n";
        let set = ["load.rate=60M/s", "load.pages=4k", "load.verify=true"];
        let Resolved { scenario, notes } = with_plan(plan, &set).unwrap();
        let told = ["rate", "pages", "verify"].map(|name| scenario.load.asked.text(name).unwrap());
        assert_eq!(told, ["60M/s", "4k", "on"]);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("--set goes before the plan: "), "{notes:?}");
        assert!(notes[0].contains("load.rate = 60M/s, not 160M/s"), "{notes:?}");
    }

    #[test]
    fn what_the_plan_leaves_out_is_the_scenarios() {
        let Resolved { scenario, notes } = with_plan("baseline = \"7s\"\nwrite = \"page\"\n", &[]).unwrap();
        let told = ["memory", "rate", "baseline", "interval", "write"]
            .map(|name| scenario.load.asked.text(name).unwrap());
        assert_eq!(told, ["32M", "8M/s", "7s", "100ms", "4096"]);
        assert!(notes[0].contains("load.baseline = 7s, not 4s; load.write_bytes = 4096, not 8"), "{notes:?}");
    }

    #[test]
    fn what_cannot_count_is_refused_or_said() {
        let region = "[[region]]\nname = \"a\"\nmemory = \"8M\"\npattern = \"random\"\n";
        let refused = with_plan(region, &["load.memory=9M"]).unwrap_err();
        assert!(refused.contains("load.memory cannot be set beside a plan with regions"), "{refused}");
        let refused = with_plan(&format!("memory = \"9M\"\n{region}"), &[]).unwrap_err();
        assert!(refused.contains("load.plan, memory = 9M is not divided"), "{refused}");
        let notes = with_plan(region, &["load.pattern=sequential"]).unwrap().notes;
        assert_eq!(
            notes,
            ["--set load.pattern counts only where no phase or region of the plan says its own"]
        );
        let refused = with_plan("rate = \"fast\"\n", &[]).unwrap_err();
        assert!(refused.contains("load.plan, line 1: rate: 'fast' is not a dirty rate"), "{refused}");
        let refused = with_plan("duration = \"9s\"\n", &[]).unwrap_err();
        assert!(refused.contains("load.plan, duration = 9s would end the load"), "{refused}");
    }

    #[test]
    fn whatever_a_plan_may_say_counts_in_a_scenario_but_the_runs_end() {
        let plan = "memory = \"40M\"\npages = \"thp\"\nbacking = \"shared\"\nnuma = \"0\"\nlock = true\nrate = \"9M/s\"\n\
            pattern = \"random\"\npace = \"poisson\"\nbacklog = \"shed\"\ncatch-up = 2\nreads = \"5%\"\nwrite = 64\n\
            content = \"compress:50\"\ndedup = \"0%\"\nverify = \"on\"\nclock = \"tsc\"\ncanary = \"10ms\"\nthreads = 1\n\
            cpus = \"0\"\nbaseline = \"6s\"\ninterval = \"200ms\"\nseed = 7\n";
        let Resolved { scenario, notes } = with_plan(plan, &[]).unwrap();
        assert_eq!(scenario.load.asked.canary.to_string(), "10ms");
        let but = ["dedup", "verify", "repeat"];
        for key in
            Parameter::all_in(Scope::Scenario).map(Parameter::bare_key).filter(|key| !but.contains(key))
        {
            assert!(notes[0].contains(&format!("load.{key} = ")), "{key} in {notes:?}");
        }
    }

    #[test]
    fn phases_of_the_plan_go_before_those_of_the_scenario_and_set_is_known_by_every_spelling() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plan.toml"), "[[phase]]\nname = \"p\"\nwrite = 64\n").unwrap();
        let mine = dir.path().join("mine.toml");
        std::fs::write(&mine, "[load]\nplan = \"plan.toml\"\n[[load.phase]]\nname = \"s\"\n").unwrap();
        let Resolved { scenario, notes } =
            find(&mine.display().to_string(), &["load.write=128".into()]).unwrap();
        assert_eq!(scenario.load.asked.phases[0].name, "p");
        assert_eq!(
            notes,
            [
                "the plan goes before the scenario: every load.phase is the plan's, not one of the scenario's 1 (--set goes \
                 before both)",
                "--set load.write_bytes counts only where no phase or region of the plan says its own",
            ]
        );
    }
}
