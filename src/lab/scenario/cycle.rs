//! A run of saves and restores in place of a migration: how many, of what, and what is wrong with that.

use super::{ExpectedOutcome, Scenario};
use crate::units::{ByteSize, PAGE_BYTES};

/// The most cycles of a run.
const MOST_CYCLES: u32 = 1000;

/// What is wrong with the cycles of `scenario`, where it has any.
pub(super) fn faults(scenario: &Scenario) -> Vec<String> {
    let Some(cycle) = &scenario.cycle else { return Vec::new() };
    let (migration, mut faults) = (&scenario.migration, Vec::new());
    if !(1..=MOST_CYCLES).contains(&cycle.cycles) {
        faults.push(format!("cycle.cycles = {} cannot be: it is 1 to {MOST_CYCLES}", cycle.cycles));
    }
    if !(1..=2).contains(&cycle.forks) {
        faults.push(format!("cycle.forks = {} cannot be: one file makes 1 guest or 2", cycle.forks));
    }
    if cycle.forks == 2 && !scenario.load.asked.verify {
        faults.push("cycle.forks = 2 needs load.verify = true: a fork is verified by its page stamps".into());
    }
    if let Some(dirty) = cycle.dirty.filter(|dirty| dirty.0 == 0 || !dirty.0.is_multiple_of(PAGE_BYTES)) {
        faults.push(format!(
            "cycle.dirty = {dirty} is no whole number of pages of {PAGE_BYTES} bytes: for example 16M"
        ));
    }
    let memory = scenario.load.memory_bytes(scenario.vm.memory.0);
    if let Some(dirty) = cycle.dirty.filter(|dirty| dirty.0 > memory) {
        faults.push(format!(
            "cycle.dirty = {dirty} is more than the load's memory of {}: lower it, or raise load.memory",
            ByteSize(memory)
        ));
    }
    if migration.may_postcopy() || migration.may_throttle() || !migration.when.is_empty() {
        faults.push(
            "a scenario with [cycle] does not migrate: leave out migration.postcopy, migration.auto_converge and migration.when"
                .into(),
        );
    }
    faults.extend(unmet(scenario).map(|key| {
        format!("{key} is of a migration, and a scenario with [cycle] does not migrate: leave it out")
    }));
    faults
}

/// The keys of `scenario` that only a migration can meet or have.
fn unmet(scenario: &Scenario) -> impl Iterator<Item = &'static str> {
    let expect = &scenario.expect;
    let said = [
        ("expect.outcome", expect.outcome != ExpectedOutcome::Completed),
        ("expect.max_downtime", expect.max_downtime.is_some()),
        ("expect.throttled = true", expect.throttled == Some(true)),
        ("expect.postcopy = true", expect.postcopy == Some(true)),
        ("link.delay", scenario.link.delay.is_some()),
        ("load.rate with %link", scenario.load.link_share.is_some()),
    ];
    said.into_iter().filter_map(|(key, is_said)| is_said.then_some(key))
}

#[cfg(test)]
mod tests {
    use super::super::{find, parse};

    #[test]
    fn what_cannot_be_saved_and_restored_is_refused_with_the_key_and_the_way_out() {
        let said = |text: &str| parse(text, "x").unwrap_err().to_string();
        for (text, part) in [
            ("[cycle]\ncycles = 0\n", "cycle.cycles = 0"),
            ("[cycle]\nforks = 3\n", "cycle.forks = 3"),
            ("[cycle]\nforks = 2\n[load]\nverify = \"off\"\n", "load.verify = true"),
            ("[cycle]\ndirty = \"5000\"\n", "no whole number of pages"),
            ("[cycle]\ndirty = \"65M\"\n", "raise load.memory"),
            ("[cycle]\n[migration]\npostcopy = true\n", "does not migrate"),
            ("[cycle]\n[migration.capabilities]\nauto-converge = true\n", "does not migrate"),
            ("[cycle]\n[expect]\noutcome = \"failed\"\n", "expect.outcome is of a migration"),
            ("[cycle]\n[expect]\nmax_downtime = \"1s\"\n", "expect.max_downtime is of"),
            ("[cycle]\n[expect]\nthrottled = true\n", "expect.throttled = true is of"),
            ("[cycle]\n[expect]\npostcopy = true\n", "expect.postcopy = true is of"),
            ("[cycle]\n[link]\nkind = \"tcp\"\ndelay = \"20ms\"\n", "link.delay is of"),
            ("[cycle]\n[load]\nrate = \"65%link\"\n", "load.rate with %link is of"),
            ("[cycle]\nrounds = 3\n", "there is no key 'cycle.rounds'"),
        ] {
            assert!(said(text).contains(part), "{text}: {}", said(text));
        }
    }

    #[test]
    fn a_cycle_is_set_from_the_command_line_and_loads_back() {
        let set = ["cycle.cycles=20", "cycle.dirty=4M"].map(String::from);
        let scenario = find("cycle/plain", &set).unwrap().scenario;
        let cycle = scenario.cycle.clone().unwrap();
        assert_eq!((cycle.cycles, cycle.dirty_pages()), (20, Some(1024)));
        assert_eq!(parse(&scenario.to_toml(), "again").unwrap(), scenario);
        let made = find("smoke/precopy", &["cycle.forks=2".into()]).unwrap().scenario;
        assert_eq!(made.cycle.map(|cycle| (cycle.cycles, cycle.forks)), Some((3, 2)));
    }
}
