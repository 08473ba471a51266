//! The keys a scenario has: what `--set` accepts, and the nearest right one to a wrong one.

use std::fmt::Write as _;

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, among it every size, rate and time.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Truth,
}

/// Every key there is, as `--set` spells it.
pub const KEYS: [(&str, Kind); 42] = [
    ("name", Kind::Text),
    ("summary", Kind::Text),
    ("vm.memory", Kind::Text),
    ("vm.cpus", Kind::Number),
    ("vm.ram_workaround", Kind::Truth),
    ("load.memory", Kind::Text),
    ("load.pages", Kind::Text),
    ("load.backing", Kind::Text),
    ("load.numa", Kind::Text),
    ("load.lock", Kind::Truth),
    ("load.rate", Kind::Text),
    ("load.pattern", Kind::Text),
    ("load.pace", Kind::Text),
    ("load.backlog", Kind::Text),
    ("load.catch_up", Kind::Number),
    ("load.reads", Kind::Text),
    ("load.write_bytes", Kind::Number),
    ("load.content", Kind::Text),
    ("load.dedup", Kind::Text),
    ("load.verify", Kind::Truth),
    ("load.clock", Kind::Text),
    ("load.threads", Kind::Number),
    ("load.baseline", Kind::Text),
    ("load.interval", Kind::Text),
    ("load.seed", Kind::Number),
    ("load.plan", Kind::Text),
    ("migration.bandwidth", Kind::Text),
    ("migration.downtime_limit", Kind::Text),
    ("migration.auto_converge", Kind::Truth),
    ("migration.throttle_initial", Kind::Number),
    ("migration.throttle_increment", Kind::Number),
    ("migration.throttle_max", Kind::Number),
    ("migration.postcopy", Kind::Truth),
    ("migration.postcopy_after", Kind::Text),
    ("migration.preempt", Kind::Truth),
    ("migration.timeout", Kind::Text),
    ("migration.settle", Kind::Text),
    ("collect.restarts", Kind::Number),
    ("expect.outcome", Kind::Text),
    ("expect.max_downtime", Kind::Text),
    ("expect.throttled", Kind::Truth),
    ("expect.postcopy", Kind::Truth),
];

/// What `key` holds, where there is such a key.
pub fn kind_of(key: &str) -> Option<Kind> {
    KEYS.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind)
}

/// Whether `key` is a section, such as `vm`.
pub fn is_section(key: &str) -> bool {
    KEYS.iter().any(|(name, _)| name.split_once('.').is_some_and(|(section, _)| section == key))
}

/// What to say to a key there is not: the nearest right one, and all of its section.
pub fn hint(wrong: &str) -> String {
    let mut hint = String::new();
    if let Some(nearest) = nearest(wrong, candidates()) {
        let _ = write!(hint, "did you mean {nearest}? ");
    }
    let section = wrong.split_once('.').map(|(section, _)| section).filter(|section| is_section(section));
    let listed: Vec<&str> = match section {
        Some(section) => in_section(section).collect(),
        None => candidates().filter(|name| !name.contains('.')).collect(),
    };
    let _ = write!(hint, "expected one of {}", listed.join(", "));
    hint
}

/// The one of `names` that `wrong` was most likely meant to be.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |text: &str| text.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    let likeness = |name: &str| {
        // A right key in the wrong section is the likeliest slip of all.
        let whole = strsim::jaro_winkler(wrong, name);
        if last(wrong) == last(name) { whole.max(0.95) } else { whole }
    };
    names
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// Every key and every section.
fn candidates() -> impl Iterator<Item = &'static str> {
    let sections = ["vm", "load", "migration", "collect", "expect"];
    KEYS.iter().map(|(name, _)| *name).chain(sections)
}

fn in_section(section: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .map(|(name, _)| *name)
        .filter(move |name| name.split_once('.').is_some_and(|(own, _)| own == section))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::{ExpectSpec, LoadSpec, Scenario};
    use crate::units::Nanos;

    /// The keys of a scenario in which every optional value is present.
    fn keys_as_written() -> Vec<(String, toml::Value)> {
        let full = Scenario {
            load: LoadSpec {
                threads: Some(1),
                numa: Some("0".parse().unwrap()),
                plan: Some(String::new()),
                ..LoadSpec::default()
            },
            expect: ExpectSpec {
                max_downtime: Some(Nanos(1)),
                throttled: Some(true),
                postcopy: Some(true),
                ..ExpectSpec::default()
            },
            ..Scenario::default()
        };
        let table: toml::Table = full.to_toml().parse().unwrap();
        let mut keys = Vec::new();
        for (key, value) in table {
            match value {
                toml::Value::Table(section) => {
                    keys.extend(section.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
                }
                value => keys.push((key, value)),
            }
        }
        keys
    }

    #[test]
    fn the_list_holds_exactly_the_keys_of_a_scenario_and_what_they_hold() {
        let written = keys_as_written();
        assert_eq!(written.len(), KEYS.len());
        for (key, value) in written {
            let kind = match value {
                toml::Value::String(_) => Kind::Text,
                toml::Value::Boolean(_) => Kind::Truth,
                _ => Kind::Number,
            };
            assert_eq!(kind_of(&key), Some(kind), "{key}");
        }
    }

    #[test]
    fn a_slip_is_answered_with_what_was_meant() {
        assert!(hint("load.rat").contains("did you mean load.rate?"));
        assert!(hint("migration.rate").contains("did you mean load.rate?"));
        assert!(hint("migration.autoconverge").contains("did you mean migration.auto_converge?"));
        assert!(
            hint("qqq").starts_with("expected one of name, summary, vm, load, migration, collect, expect")
        );
    }
}
