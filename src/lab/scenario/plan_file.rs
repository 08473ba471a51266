//! The plan of a load: read from `[load]` and from the plan file that `load.plan` names, which is held in the scenario whole, so that
//! a run directory says what was done; and written for the guest, which gets it with its image.

use super::link_rate::share_of_link;
use super::{LoadSpec, Scenario};
use crate::files::read_text;
use crate::plan::{Fault, PLAN_FILE_LIMIT, Plan, PlanFile, Scope};
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Takes what `[load]` of a scenario says.
///
/// # Errors
/// Every fault, each with the byte where it stands and its remedy.
pub(super) fn take(load: &mut LoadSpec, section: &DeTable<'_>) -> Result<(), Vec<(usize, Fault)>> {
    let rate = section.iter().find_map(|(key, value)| match value.get_ref() {
        DeValue::String(text) if key.get_ref() == "rate" => share_of_link(text).map(|_| (value, text)),
        _ => None,
    });
    // The plan itself knows no rate that is tied to the link.
    let others: &[&str] = if rate.is_some() { &["plan", "rate"] } else { &["plan"] };
    let PlanFile { settings, regions, phases } = PlanFile::of_table(section, Scope::Scenario, others)?;
    if let Some((value, text)) = rate {
        load.set_rate(text).map_err(|error| {
            let remedy = "write rate = \"65%link\" for a rate tied to the link".into();
            vec![(value.span().start, Fault { what: format!("load.rate: {error}"), remedy })]
        })?;
    }
    for (key, value) in section {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("plan", DeValue::String(text)) => load.plan = Some(text.to_string()),
            ("memory", _) if !regions.is_empty() => {
                let what = "load.memory is not divided among regions".into();
                let remedy =
                    "give each [[load.region]] a memory of its own, and leave load.memory out".into();
                return Err(vec![(key.span().start, Fault { what, remedy })]);
            }
            _ => {}
        }
    }
    load.asked.take(&settings);
    if !regions.is_empty() {
        load.asked.memory = Plan::default().memory;
    }
    (load.asked.regions, load.asked.phases) = (regions, phases);
    Ok(())
}

/// Puts the file that `load.plan` names, seen from `base`, into its place; a plan that is there already stays.
///
/// # Errors
/// Why the file cannot be read.
pub(super) fn carry(load: &mut LoadSpec, base: &Path) -> Result<(), String> {
    let Some(named) = load.plan.as_ref().filter(|text| !is_text(text)) else { return Ok(()) };
    let path = base.join(named);
    let refused = |cause: std::io::Error| {
        format!(
            "load.plan = {} cannot be read: {cause}; name a plan file, or write the plan itself between \"\"\" and \"\"\"",
            path.display()
        )
    };
    let text = read_text(&path, PLAN_FILE_LIMIT as u64).map_err(refused)?;
    load.plan = Some(text + "\n");
    Ok(())
}

/// A plan has lines; a file's name has none.
fn is_text(plan: &str) -> bool {
    plan.contains('\n')
}

/// What is wrong with the plan of `scenario`; what only the guest can tell is left to it.
pub(super) fn faults(scenario: &Scenario) -> Vec<String> {
    let LoadSpec { asked, plan, .. } = &scenario.load;
    let mut faults = Vec::new();
    if let Some(Err(wrong)) = plan.as_ref().map(|text| PlanFile::parse(text)) {
        faults.extend(wrong.into_iter().map(|fault| format!("load.plan, {}; {}", fault.what, fault.remedy)));
    }
    if !asked.repeat && asked.phases.last().is_some_and(|phase| phase.duration.is_some()) {
        let what = if plan.is_some() { "load.plan" } else { "the load" };
        faults.push(format!(
            "{what} ends with its last phase, maybe in the middle of the migration: leave out that phase's duration, or set \
             repeat = true"
        ));
    }
    faults
}

impl LoadSpec {
    /// The plan file that the guest gets.
    pub fn guest_plan(&self) -> String {
        toml::to_string(&self.asked).unwrap_or_default()
    }

    /// The memory that it asks for when `available_bytes` are there.
    pub fn memory_bytes(&self, available_bytes: u64) -> u64 {
        let parts = self.asked.parts();
        parts.iter().map(|(_, part)| part.memory.bytes(available_bytes)).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{find, parse};
    use super::*;

    #[test]
    fn a_plan_is_held_whole_whether_it_is_named_or_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("busy.toml");
        std::fs::write(&file, "rate = \"1M/s\"").unwrap();
        std::fs::write(dir.path().join("mine.toml"), "[load]\nplan = \"busy.toml\"\n").unwrap();
        let held = Some("rate = \"1M/s\"\n".to_owned());
        let mine = dir.path().join("mine.toml").display().to_string();
        assert_eq!(find(&mine, &[]).unwrap().scenario.load.plan, held, "seen from the scenario");
        let set = format!("load.plan={}", file.display());
        let scenario = find("smoke/precopy", &[set, "load.seed=2".into()]).unwrap().scenario;
        assert_eq!(scenario.load.plan, held);
        assert_eq!(parse(&scenario.to_toml(), "again").unwrap(), scenario);
        let missing = find("smoke/precopy", &["load.plan=/nonexistent".into()]).unwrap_err().to_string();
        assert!(missing.contains("load.plan = /nonexistent cannot be read"), "{missing}");
    }

    #[test]
    fn a_wrong_plan_is_said_with_its_lines_and_one_that_ends_is_refused() {
        let faults = |plan: &str| {
            let text = format!("[load]\nplan = \"\"\"{plan}\"\"\"\n");
            parse(&text, "x").map_or_else(|error| error.to_string(), |_| String::new())
        };
        let phase = "memory = \"8M\"\n[[phase]]\nname = \"a\"\n";
        assert_eq!(faults(phase), "");
        assert!(faults(&format!("{phase}duration = \"1s\"\n")).contains("repeat = true"));
        assert_eq!(faults(&format!("repeat = true\n{phase}duration = \"1s\"\n")), "");
        assert!(
            faults("rat = \"1M/s\"\n")
                .contains("load.plan, line 1: there is no key 'rat'; did you mean rate?")
        );
        let held = faults("dirty = \"1M\"\n");
        assert!(held.contains("load.plan, dirty = 1M would hold") && held.contains("cycle.dirty"), "{held}");
        let large = faults("[[region]]\nname = \"a\"\nmemory = \"1G\"\n");
        assert!(large.contains("load.plan, which asks for 1024M, does not fit into vm.memory"), "{large}");
    }

    #[test]
    fn the_guest_gets_what_the_scenario_and_the_plan_say_together() {
        let got = |load: &str, plan: &str| {
            let text = format!("[load]\n{load}plan = \"\"\"{plan}\"\"\"\n");
            let scenario = parse(&text, "x").unwrap();
            let plan = PlanFile::parse(&scenario.load.guest_plan()).unwrap().plan();
            assert_eq!(plan, scenario.load.asked);
            plan
        };
        let plan = got("seed = 7\nnuma = \"0\"\n", "rate = \"1M/s\"\nmemory = \"32M\"\n");
        let said = ["memory", "rate", "seed", "numa", "baseline"].map(|name| plan.text(name).unwrap());
        assert_eq!(said, ["32M", "1M/s", "7", "0", "4s"]);
        let regions =
            "[[region]]\nname = \"a\"\nmemory = \"8M\"\n[[region]]\nname = \"b\"\nmemory = \"4M\"\n";
        let text = format!("[load]\nplan = \"\"\"{regions}\"\"\"\n");
        let load = parse(&text, "x").unwrap().load;
        assert_eq!((load.memory_bytes(1 << 30), load.guest_plan().contains("64M")), (12 << 20, false));
    }

    #[test]
    fn a_plan_file_may_stand_in_a_scenario_as_it_is() {
        let plan = "memory = \"40M\"\nwrite = \"page\"\ncatch-up = 2\nverify = \"off\"\nrepeat = true\n";
        let parts = [
            "phase]]\nname = \"up\"\nduration = \"5s\"\nramp = \"0..9M/s\"\n",
            "phase]]\nname = \"on\"\nduration = \"9s\"\nbacklog = \"shed\"\n",
        ];
        let file = PlanFile::parse(&format!("{plan}[[{}[[{}", parts[0], parts[1])).unwrap().plan();
        let text = format!("[load]\n{plan}[[load.{}[[load.{}", parts[0], parts[1]);
        let scenario = parse(&text, "x").unwrap();
        let asked = &scenario.load.asked;
        assert_eq!((&asked.phases, asked.write_bytes, asked.verify), (&file.phases, 4096, false));
        assert_eq!((asked.repeat, asked.catch_up, &asked.memory), (true, 2, &file.memory));
        assert_eq!(parse(&scenario.to_toml(), "again").unwrap(), scenario);
    }

    #[test]
    fn a_wrong_phase_or_region_of_a_scenario_is_said_with_its_place() {
        let said = |text: &str| parse(text, "my.toml").unwrap_err().to_string();
        let phase = said("[load]\nrate = \"1M/s\"\n[[load.phase]]\nname = \"a\"\nrate = \"fast\"\n");
        assert!(
            phase.starts_with("my.toml:5:8: ") && phase.contains("'fast' is not a dirty rate"),
            "{phase}"
        );
        let key = said("[[load.region]]\nnam = \"a\"\n");
        assert!(key.starts_with("my.toml:2:1: ") && key.contains("did you mean name?"), "{key}");
        assert!(said("load = 3\n").contains("[load]"));
        assert!(said("[load]\nphase = 3\n").contains("no list of tables"));
        let regions = "[[load.region]]\nname = \"a\"\nmemory = \"8M\"\n";
        assert!(said(&format!("[load]\nmemory = \"9M\"\n{regions}")).contains("not divided among regions"));
        let twice = said("[load]\nwrite = 8\nwrite_bytes = 16\n");
        assert!(twice.contains("said twice"), "{twice}");
        assert!(said("[load]\nduration = \"9s\"\n").contains("there is no key 'load.duration'"));
    }
}
