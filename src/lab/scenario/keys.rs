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
    /// A list of texts; `--set` takes it as words with spaces between them.
    Words,
}

/// Every key there is, as `--set` spells it, what it holds, and the form of that beyond its kind.
pub const KEYS: [(&str, Kind, &str); 45] = [
    ("name", Kind::Text, "letters, digits, - _ . and / such as my/scenario"),
    ("summary", Kind::Text, "a sentence"),
    ("vm.memory", Kind::Text, "a size such as 256M"),
    ("vm.cpus", Kind::Number, "1 to 255"),
    ("vm.ram_workaround", Kind::Truth, ""),
    ("vm.qemu_args", Kind::Words, "such as [\"-cpu\", \"max\"]; after --set words with spaces between them"),
    ("load.memory", Kind::Text, "a size or a share such as 64M or 75%"),
    ("load.pages", Kind::Text, "4k or thp"),
    ("load.backing", Kind::Text, "anon or shared"),
    ("load.numa", Kind::Text, "a node's number or interleave"),
    ("load.lock", Kind::Truth, ""),
    ("load.rate", Kind::Text, "a rate such as 80M/s, or max"),
    ("load.pattern", Kind::Text, "a pattern such as shuffle or hotspot:10%/90%"),
    ("load.pace", Kind::Text, "constant, poisson or burst:ON/OFF"),
    ("load.backlog", Kind::Text, "repay or shed"),
    ("load.catch_up", Kind::Number, "1 to 100"),
    ("load.reads", Kind::Text, "a share such as 25%"),
    ("load.write_bytes", Kind::Number, "a multiple of 8 from 8 to 4096"),
    ("load.content", Kind::Text, "a content such as random, zero or compress:50"),
    ("load.dedup", Kind::Text, "a share such as 25%"),
    ("load.verify", Kind::Truth, ""),
    ("load.clock", Kind::Text, "auto, tsc or monotonic"),
    ("load.canary", Kind::Text, "a time of 987us to 100ms, or off"),
    ("load.threads", Kind::Number, "1 to 1024"),
    ("load.baseline", Kind::Text, "a time such as 4s"),
    ("load.interval", Kind::Text, "a time such as 100ms"),
    ("load.seed", Kind::Number, "0 or more"),
    ("load.plan", Kind::Text, "the name of a plan file"),
    ("migration.bandwidth", Kind::Text, "bytes a second such as 30M/s"),
    ("migration.downtime_limit", Kind::Text, "a time such as 300ms"),
    ("migration.auto_converge", Kind::Truth, ""),
    ("migration.throttle_initial", Kind::Number, "1 to 99 percent"),
    ("migration.throttle_increment", Kind::Number, "1 to 99 percentage points"),
    ("migration.throttle_max", Kind::Number, "1 to 99 percent"),
    ("migration.postcopy", Kind::Truth, ""),
    ("migration.postcopy_after", Kind::Text, "first-pass, or a time after the start such as 5s"),
    ("migration.preempt", Kind::Truth, ""),
    ("migration.timeout", Kind::Text, "a time such as 120s"),
    ("migration.settle", Kind::Text, "a time such as 10s"),
    ("collect.restarts", Kind::Number, "how often, such as 3"),
    ("expect.outcome", Kind::Text, "completed, failed or any"),
    ("expect.max_downtime", Kind::Text, "a time such as 500ms"),
    ("expect.throttled", Kind::Truth, ""),
    ("expect.postcopy", Kind::Truth, ""),
    ("expect.corruption", Kind::Truth, ""),
];

/// What `key` holds, where there is such a key.
pub fn kind_of(key: &str) -> Option<Kind> {
    KEYS.iter().find(|(name, ..)| *name == key).map(|(_, kind, _)| *kind)
}

/// What `key` takes, to be said of a value that it does not.
pub fn expectation(key: &str) -> String {
    let Some((_, kind, form)) = KEYS.iter().find(|(name, ..)| *name == key) else { return String::new() };
    match kind {
        Kind::Text => format!("{key} takes a text: {form}"),
        Kind::Number => format!("{key} takes a whole number: {form}"),
        Kind::Words => format!("{key} takes a list of texts: {form}"),
        Kind::Truth => format!("{key} takes true or false, for example {key}=true"),
    }
}

/// Whether `key` is a section, such as `vm`.
pub fn is_section(key: &str) -> bool {
    KEYS.iter().any(|(name, ..)| name.split_once('.').is_some_and(|(section, _)| section == key))
}

/// Words that others have for what takes several keys here.
const MEANT: [(&str, &str); 4] = [
    ("method", METHOD),
    ("mode", METHOD),
    ("type", METHOD),
    ("throttle", "migration.auto_converge, or migration.throttle_initial"),
];
const METHOD: &str = "migration.auto_converge or migration.postcopy (without both it is plain pre-copy)";

/// What to say to a key there is not: the nearest right one, and all of its section.
pub fn hint(wrong: &str) -> String {
    let mut hint = String::new();
    let last = wrong.rsplit('.').next().unwrap_or(wrong);
    if let Some((_, meant)) = MEANT.iter().find(|(word, _)| *word == last) {
        let _ = write!(hint, "did you mean {meant}? ");
    } else if let Some(nearest) = nearest(wrong, candidates()) {
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
    let last = |text: &str| text.rsplit(['.', '/']).next().map(str::to_owned).unwrap_or_default();
    let likeness = |name: &str| {
        // A right key in the wrong section, or a name without its first part, is the likeliest slip of all.
        let whole = strsim::jaro_winkler(wrong, name);
        whole.max(0.95 * strsim::jaro_winkler(&last(wrong), &last(name)))
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
    KEYS.iter().map(|(name, ..)| *name).chain(sections)
}

fn in_section(section: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .map(|(name, ..)| *name)
        .filter(move |name| name.split_once('.').is_some_and(|(own, _)| own == section))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::{ExpectSpec, LoadSpec, Scenario, VmSpec};
    use crate::units::Nanos;

    /// The keys of a scenario in which every optional value is present.
    fn keys_as_written() -> Vec<(String, toml::Value)> {
        let full = Scenario {
            vm: VmSpec { qemu_args: vec!["-cpu".into()], ..VmSpec::default() },
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
                corruption: Some(true),
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
                toml::Value::Array(_) => Kind::Words,
                _ => Kind::Number,
            };
            assert_eq!(kind_of(&key), Some(kind), "{key}");
        }
    }

    #[test]
    fn every_key_says_its_form() {
        for (key, kind, form) in KEYS {
            assert_eq!(form.is_empty(), kind == Kind::Truth, "{key}");
            assert!(expectation(key).starts_with(key));
        }
    }

    #[test]
    fn a_slip_is_answered_with_what_was_meant() {
        assert!(hint("load.rat").contains("did you mean load.rate?"));
        assert!(hint("migration.rate").contains("did you mean load.rate?"));
        assert!(hint("migration.autoconverge").contains("did you mean migration.auto_converge?"));
        assert!(
            hint("migration.method").contains("did you mean migration.auto_converge or migration.postcopy")
        );
        assert!(
            hint("qqq").starts_with("expected one of name, summary, vm, load, migration, collect, expect")
        );
    }
}
