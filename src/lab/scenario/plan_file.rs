//! `load.plan`: a plan file that the guest gets with its image, held in the scenario whole, so that a run directory says
//! what was done.

use super::{LoadSpec, Scenario};
use crate::plan::{MemoryAmount, PLAN_FILE_LIMIT, PlanFile};
use std::{fs, io::Read, path::Path};

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
    let mut text = String::new();
    let file = fs::File::open(&path).map_err(refused)?;
    file.take(PLAN_FILE_LIMIT as u64 + 1).read_to_string(&mut text).map_err(refused)?;
    load.plan = Some(text + "\n");
    Ok(())
}

/// A plan has lines; a file's name has none.
fn is_text(plan: &str) -> bool {
    plan.contains('\n')
}

/// What is wrong with the plan of `scenario`; what only the guest can tell is left to it.
pub(super) fn faults(scenario: &Scenario) -> Vec<String> {
    let Some(text) = &scenario.load.plan else { return Vec::new() };
    match PlanFile::parse(text) {
        Err(faults) => {
            faults.into_iter().map(|fault| format!("load.plan, {}; {}", fault.what, fault.remedy)).collect()
        }
        Ok(file) if !file.repeat && file.phases.last().is_some_and(|phase| phase.duration.is_some()) => {
            vec![
                "load.plan ends with its last phase, maybe in the middle of the migration: leave out that phase's \
                 duration, or set repeat = true"
                    .into(),
            ]
        }
        Ok(_) => Vec::new(),
    }
}

impl LoadSpec {
    /// The memory that it asks for when `available_bytes` are there.
    pub fn memory_bytes(&self, available_bytes: u64) -> u64 {
        let Some(amounts) = self.planned_memory() else { return self.memory.bytes(available_bytes) };
        amounts.iter().map(|amount| amount.bytes(available_bytes)).fold(0, u64::saturating_add)
    }

    /// What the plan asks for, where the memory is the plan's to say: of each region, or of its one. None where the plan
    /// says nothing of it, or `--set` something else, which goes before it.
    pub(super) fn planned_memory(&self) -> Option<Vec<MemoryAmount>> {
        let file = PlanFile::parse(self.plan.as_ref()?).ok()?;
        if !file.regions.is_empty() {
            return Some(file.regions.iter().filter_map(|region| region.memory).collect());
        }
        let flag = file.flags.iter().find(|(flag, _)| *flag == "memory")?;
        flag.1.parse().ok().filter(|amount| *amount == self.memory).map(|amount| vec![amount])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{check::check, find, parse};
    use super::*;

    #[test]
    fn a_plan_is_held_whole_whether_it_is_named_or_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("busy.toml");
        fs::write(&file, "rate = \"1M/s\"").unwrap();
        fs::write(dir.path().join("mine.toml"), "[load]\nplan = \"busy.toml\"\n").unwrap();
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
            let mut scenario = Scenario::default();
            scenario.load.plan = Some(plan.into());
            check(&scenario).join("\n")
        };
        let phase = "memory = \"8M\"\n[[phase]]\nname = \"a\"\n";
        assert_eq!(faults(phase), "");
        assert!(faults(&format!("{phase}duration = \"1s\"\n")).contains("repeat = true"));
        assert_eq!(faults(&format!("repeat = true\n{phase}duration = \"1s\"\n")), "");
        assert!(
            faults("rat = \"1M/s\"\n")
                .contains("load.plan, line 1: there is no key 'rat'; did you mean rate?")
        );
        assert!(
            faults("[[region]]\nname = \"a\"\nmemory = \"1G\"\n").contains("does not fit into vm.memory")
        );
    }

    #[test]
    fn the_guest_is_told_the_plan_and_what_the_scenario_says_beside_it() {
        let told = |load: &str, plan: &str| {
            let text = format!("[load]\n{load}plan = \"\"\"{plan}\"\"\"\n");
            parse(&text, "x").unwrap().load.guest_arguments()
        };
        let plan = "rate = \"1M/s\"\n";
        assert_eq!(told("", plan), "run --plan /plan.toml -m 64M --baseline 4s -i 100ms --report virtio");
        assert_eq!(
            told("seed = 7\nnuma = \"0\"\n", &format!("{plan}memory = \"32M\"\n")),
            "run --plan /plan.toml --numa 0 --baseline 4s -i 100ms --seed 7 --report virtio"
        );
    }
}
