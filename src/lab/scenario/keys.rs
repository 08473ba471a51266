//! The keys a scenario has: what `--set` accepts, and the nearest right one to a wrong one.

use crate::plan::{Parameter, Scope, ValueKind};
use std::fmt::Write as _;

/// A key as `--set` spells it, what it holds, and the form of that beyond its kind.
pub type Key = (&'static str, ValueKind, &'static str);

/// The keys that are no parameters of the load.
const OWN: [Key; 37] = [
    ("name", ValueKind::Text, "letters, digits, - _ . and / such as my/scenario"),
    ("summary", ValueKind::Text, "a sentence"),
    ("vm.memory", ValueKind::Text, "a size such as 256M"),
    ("vm.cpus", ValueKind::Number, "1 to 255"),
    ("vm.ram_workaround", ValueKind::Truth, ""),
    ("vm.hello_within", ValueKind::Text, "a time such as 60s"),
    ("vm.huge_pages", ValueKind::Truth, ""),
    ("vm.machine", ValueKind::Text, "a machine of QEMU's such as q35"),
    ("vm.cpu", ValueKind::Text, "a CPU model of QEMU's such as host or Skylake-Server"),
    (
        "vm.qemu_args",
        ValueKind::Words,
        "such as [\"-cpu\", \"max\"]; after --set words with spaces between them",
    ),
    ("load.plan", ValueKind::Text, "the name of a plan file"),
    ("link.kind", ValueKind::Text, "unix or tcp"),
    ("link.bandwidth", ValueKind::Text, "bytes a second such as 30M/s"),
    ("link.delay", ValueKind::Text, "a time such as 20ms, each way"),
    ("migration.bandwidth", ValueKind::Text, "bytes a second such as 30M/s"),
    ("migration.downtime_limit", ValueKind::Text, "a time such as 300ms"),
    ("migration.auto_converge", ValueKind::Truth, ""),
    ("migration.throttle_initial", ValueKind::Number, "1 to 99 percent"),
    ("migration.throttle_increment", ValueKind::Number, "1 to 99 percentage points"),
    ("migration.throttle_max", ValueKind::Number, "1 to 99 percent"),
    ("migration.postcopy", ValueKind::Truth, ""),
    ("migration.postcopy_after", ValueKind::Text, "first-pass, or a time after the start such as 5s"),
    ("migration.preempt", ValueKind::Truth, ""),
    ("migration.timeout", ValueKind::Text, "a time such as 120s"),
    ("migration.settle", ValueKind::Text, "a time such as 10s"),
    ("cycle.cycles", ValueKind::Number, "1 to 1000 saves and restores"),
    ("cycle.forks", ValueKind::Number, "1 or 2 guests from each file"),
    ("cycle.dirty", ValueKind::Text, "a size such as 16M"),
    ("cycle.mapped_ram", ValueKind::Truth, ""),
    ("collect.restarts", ValueKind::Number, "how often, such as 3"),
    ("expect.outcome", ValueKind::Text, "completed, failed or any"),
    ("expect.max_downtime", ValueKind::Text, "a time such as 500ms"),
    ("expect.throttled", ValueKind::Truth, ""),
    ("expect.postcopy", ValueKind::Truth, ""),
    ("expect.corruption", ValueKind::Truth, ""),
    ("expect.tries", ValueKind::Number, "1 to 20 runs"),
    (
        "expect.figures",
        ValueKind::Words,
        "such as [\"downtime_ms < 300\"]; after --set demands with commas between them",
    ),
];

/// Every key there is.
pub fn keys() -> impl Iterator<Item = Key> {
    let load = Parameter::all_in(Scope::Scenario);
    load.map(|parameter| (parameter.key, parameter.kind, parameter.form)).chain(OWN)
}

/// The parameter that `key` stands for, whichever way it is spelled; none for what is none of the load.
pub fn parameter(key: &str) -> Option<&'static Parameter> {
    Parameter::called(key.strip_prefix("load.")?, Scope::Scenario)
}

/// The list of tables that `key` is or is one of: such are written in a file, and not set.
pub fn list(key: &str) -> Option<&'static str> {
    let lists = ["load.phase", "load.region", "migration.when"];
    lists
        .into_iter()
        .find(|list| key.strip_prefix(list).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Sections whose keys are QEMU's own names.
const QEMUS: [&str; 2] = ["migration.capabilities", "migration.parameters"];

/// Whether `key` is a section whose keys are QEMU's own names.
pub fn is_qemus(key: &str) -> bool {
    QEMUS.contains(&key)
}

/// What to say where a section of QEMU's own names is set without one of them.
pub fn without_name(section: &str) -> String {
    let example = if section == QEMUS[0] { "auto-converge=true" } else { "downtime-limit=500" };
    format!("{section} has keys of QEMU's own: name one, for example {section}.{example}")
}

/// The section and QEMU's own name of `key`, where it is one of QEMU's.
pub fn qemus(key: &str) -> Option<(&'static str, &str)> {
    QEMUS.into_iter().find_map(|section| Some((section, key.strip_prefix(section)?.strip_prefix('.')?)))
}

fn known(key: &str) -> Option<Key> {
    let key = parameter(key).map_or(key, |parameter| parameter.key);
    keys().find(|(name, ..)| *name == key)
}

/// What `key` holds, where there is such a key.
pub fn kind_of(key: &str) -> Option<ValueKind> {
    known(key).map(|(_, kind, _)| kind)
}

/// What `key` takes, to be said of a value that it does not.
pub fn expectation(key: &str) -> String {
    let Some((_, kind, form)) = known(key) else { return String::new() };
    match kind {
        ValueKind::Text => format!("{key} takes a text: {form}"),
        ValueKind::Number => format!("{key} takes a whole number: {form}"),
        ValueKind::Words => format!("{key} takes a list of texts: {form}"),
        ValueKind::Truth => format!("{key} takes true or false, for example {key}=true"),
    }
}

/// Whether `key` is a section, such as `vm`.
pub fn is_section(key: &str) -> bool {
    keys().any(|(name, ..)| name.split_once('.').is_some_and(|(section, _)| section == key))
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
    hint + &expected(section)
}

/// The keys of a section, or all that belong to none.
pub fn expected(section: Option<&str>) -> String {
    let listed: Vec<&str> = match section {
        Some(section) => in_section(section).collect(),
        None => candidates().filter(|name| !name.contains('.')).collect(),
    };
    format!("expected one of {}", listed.join(", "))
}

/// The one of `names` that `wrong` was most likely meant to be.
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let parts = |text: &str| {
        let at = text.rfind(['.', '/']).map_or(0, |at| at + 1);
        (text[..at].to_owned(), text[at..].to_owned())
    };
    let (section, last) = parts(wrong);
    let likeness = |name: &str| {
        let (own_section, own_last) = parts(name);
        // A right key in the wrong section, or a name without its first part, is the likeliest slip of all; that the section
        // is right says nothing of the rest.
        let by_last = strsim::jaro_winkler(&last, &own_last);
        if section == own_section { by_last } else { strsim::jaro_winkler(wrong, name).max(0.95 * by_last) }
    };
    names
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        // Of several that are as like the first one: what is listed first is used most.
        .min_by(|one, other| other.0.total_cmp(&one.0))
        .map(|(_, name)| name)
}

/// Every key and every section.
fn candidates() -> impl Iterator<Item = &'static str> {
    let sections = ["vm", "load", "link", "migration", "cycle", "collect", "expect"];
    keys().map(|(name, ..)| name).chain(sections)
}

fn in_section(section: &str) -> impl Iterator<Item = &'static str> {
    keys()
        .map(|(name, ..)| name)
        .filter(move |name| name.split_once('.').is_some_and(|(own, _)| own == section))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::{CycleSpec, ExpectSpec, LinkSpec, LoadSpec, Scenario, VmSpec};
    use crate::plan::Plan;
    use crate::units::Nanos;

    /// The keys of a scenario in which every optional value is present.
    fn keys_as_written() -> Vec<(String, toml::Value)> {
        let mut asked = Plan { threads: Some(1), repeat: true, ..Plan::default() };
        (asked.kind.numa, asked.cpus) = ("0".parse().ok(), "0".parse().ok());
        let full = Scenario {
            vm: VmSpec {
                machine: Some("q35".into()),
                cpu: Some("max".into()),
                qemu_args: vec!["-s".into()],
                ..VmSpec::default()
            },
            load: LoadSpec { asked, plan: Some(String::new()), ..LoadSpec::default() },
            link: LinkSpec { bandwidth: "1M/s".parse().ok(), delay: Some(Nanos(1)), ..LinkSpec::default() },
            cycle: Some(CycleSpec { dirty: Some("1M".parse().unwrap()), ..CycleSpec::default() }),
            expect: ExpectSpec {
                max_downtime: Some(Nanos(1)),
                throttled: Some(true),
                postcopy: Some(true),
                corruption: Some(true),
                figures: vec!["downtime_ms < 300".parse().unwrap()],
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
        assert_eq!(written.len(), keys().count());
        for (key, value) in written {
            let kind = match value {
                toml::Value::String(_) => ValueKind::Text,
                toml::Value::Boolean(_) => ValueKind::Truth,
                toml::Value::Array(_) => ValueKind::Words,
                _ => ValueKind::Number,
            };
            assert_eq!(kind_of(&key), Some(kind), "{key}");
        }
    }

    #[test]
    fn every_key_says_its_form() {
        for (key, kind, form) in keys() {
            assert_eq!(form.is_empty(), kind == ValueKind::Truth, "{key}");
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
            hint("qqq").starts_with(
                "expected one of name, summary, vm, load, link, migration, cycle, collect, expect"
            )
        );
    }
}
