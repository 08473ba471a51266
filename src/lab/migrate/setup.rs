//! What both QEMUs are told before a migration begins: capabilities, parameters, the channel.

use super::Uris;
use crate::lab::scenario::{MigrationSpec, nearest};
use crate::record::Side;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One command of the preparation.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which QEMU.
    pub side: Side,
    /// The command.
    pub command: &'static str,
    /// Its arguments.
    pub arguments: Value,
    /// The arguments to try again with when QEMU refuses these.
    pub otherwise: Option<Value>,
}

/// QEMU's command for parameters.
pub const SET_PARAMETERS: &str = "migrate-set-parameters";

/// A capability that is wanted.
struct Wanted {
    on: bool,
    /// What to do without it, in a sentence; none for what only adds to the report.
    otherwise: Option<String>,
}

fn wanted(spec: &MigrationSpec) -> BTreeMap<&str, Wanted> {
    let optional = || Wanted { on: true, otherwise: None };
    let needed = |key: &str| Wanted { on: true, otherwise: Some(format!("--set {key}=false")) };
    let mut wanted = BTreeMap::from([("events", optional())]);
    if spec.auto_converge {
        wanted.insert("auto-converge", needed("migration.auto_converge"));
    }
    if spec.may_postcopy() {
        let otherwise = if spec.postcopy { "--set migration.postcopy=false" } else { "no step to post-copy" };
        wanted.insert("postcopy-ram", Wanted { on: true, otherwise: Some(otherwise.into()) });
        wanted.insert("postcopy-blocktime", optional());
    }
    if spec.preempt {
        wanted.insert("postcopy-preempt", needed("migration.preempt"));
    }
    for (name, on) in &spec.capabilities {
        wanted.insert(
            name,
            Wanted { on: *on, otherwise: Some(format!("no {name} in migration.capabilities")) },
        );
    }
    wanted
}

/// What the sides can do of what is wanted.
#[derive(Debug, Default, PartialEq)]
pub struct Agreement<'a> {
    /// Capabilities to switch on or off, on both sides.
    pub capabilities: BTreeMap<&'a str, bool>,
    /// What will be missing from the report.
    pub notes: Vec<String>,
    /// What the migration cannot do without, and the way out.
    pub missing: Vec<String>,
}

/// Compares what is wanted with what each side knows.
pub fn agree<'a>(spec: &'a MigrationSpec, source: &[String], destination: &[String]) -> Agreement<'a> {
    let mut agreement = Agreement::default();
    for (name, Wanted { on, otherwise }) in wanted(spec) {
        let Some(who) = lacking(name, [source, destination]) else {
            agreement.capabilities.insert(name, on);
            continue;
        };
        let what = format!("{who} not offer the migration capability {name}");
        match otherwise {
            Some(otherwise) => {
                let meant = meant(name, source);
                agreement
                    .missing
                    .push(format!("{what}{meant}: take a QEMU that does (--qemu PATH), or {otherwise}"));
            }
            None => agreement.notes.push(format!("{what}: what it would add is absent")),
        }
    }
    agreement
}

/// The parameters that the scenario gives by QEMU's names and that a side does not take, each in a sentence.
pub fn missing_parameters(spec: &MigrationSpec, known: [&[String]; 2]) -> Vec<String> {
    let given = [("migration.parameters", &spec.parameters)]
        .into_iter()
        .chain(spec.when.iter().map(|step| ("migration.when", &step.parameters)));
    let names = given.flat_map(|(key, parameters)| parameters.keys().map(move |name| (key, name)));
    names
        .filter_map(|(key, name)| {
            let who = lacking(name, known)?;
            let meant = meant(name, known[0]);
            Some(format!("{who} not offer the migration parameter {name} of {key}{meant}"))
        })
        .collect()
}

/// Which sides do not have `name`, as a sentence begins; none where both have it.
fn lacking(name: &str, [source, destination]: [&[String]; 2]) -> Option<&'static str> {
    let lacks = |known: &[String]| !known.iter().any(|known| known == name);
    match (lacks(source), lacks(destination)) {
        (false, false) => None,
        (true, true) => Some("QEMU does"),
        (true, false) => Some("the source QEMU does"),
        (false, true) => Some("the destination QEMU does"),
    }
}

/// The name that may have been meant, in brackets.
fn meant(name: &str, known: &[String]) -> String {
    nearest(name, known.iter().map(String::as_str).filter(|known| *known != name))
        .map(|nearest| format!(" (did you mean {nearest}?)"))
        .unwrap_or_default()
}

/// What may stand behind a refusal of the capabilities.
pub fn capability_hint(spec: &MigrationSpec) -> &'static str {
    if spec.may_postcopy() {
        "; post-copy needs userfaultfd: run as root or set the sysctl vm.unprivileged_userfaultfd=1"
    } else {
        ""
    }
}

/// What each side is told before a migration, in this order.
pub fn settings(spec: &MigrationSpec, capabilities: &BTreeMap<&str, bool>) -> Vec<(&'static str, Value)> {
    let list: Vec<Value> =
        capabilities.iter().map(|(name, on)| json!({"capability": name, "state": on})).collect();
    let switched = ("migrate-set-capabilities", json!({ "capabilities": list }));
    let parameters = (SET_PARAMETERS, parameters(spec));
    (!capabilities.is_empty()).then_some(switched).into_iter().chain([parameters]).collect()
}

/// The commands in their order; the last one starts the migration.
pub fn steps(spec: &MigrationSpec, capabilities: &BTreeMap<&str, bool>, uris: &Uris) -> Vec<Step> {
    let mut steps = Vec::new();
    for (command, arguments) in settings(spec, capabilities) {
        let told = |side| Step { side, command, arguments: arguments.clone(), otherwise: None };
        steps.extend([Side::Destination, Side::Source].map(told));
    }
    steps.push(Step {
        side: Side::Destination,
        command: "migrate-incoming",
        // A destination that stays can be asked what went wrong; QEMU before 9.1 does not know the argument.
        arguments: json!({"uri": uris.incoming, "exit-on-error": false}),
        otherwise: Some(json!({"uri": uris.incoming})),
    });
    steps.push(Step {
        side: Side::Source,
        command: "migrate",
        arguments: json!({"uri": uris.outgoing}),
        otherwise: None,
    });
    steps
}

fn parameters(spec: &MigrationSpec) -> Value {
    let mut parameters = json!({
        "max-bandwidth": spec.bandwidth.0,
        // Without it the cap on the link is lifted when post-copy begins.
        "max-postcopy-bandwidth": spec.bandwidth.0,
        "downtime-limit": spec.downtime_limit.0 / 1_000_000,
    });
    let Some(table) = parameters.as_object_mut() else { return parameters };
    if spec.may_throttle() {
        table.insert("cpu-throttle-initial".into(), spec.throttle_initial.into());
        table.insert("cpu-throttle-increment".into(), spec.throttle_increment.into());
        table.insert("max-cpu-throttle".into(), spec.throttle_max.into());
    }
    table.extend(spec.parameters.clone());
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::When;

    fn known(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_required_and_missing_is_said_with_the_side_and_the_way_out() {
        let spec = MigrationSpec { postcopy: true, preempt: true, ..MigrationSpec::default() };
        let new = known(&["events", "postcopy-ram", "postcopy-preempt", "postcopy-blocktime"]);
        let old = known(&["events", "postcopy-ram"]);
        let agreement = agree(&spec, &new, &old);
        assert_eq!(agreement.capabilities, BTreeMap::from([("events", true), ("postcopy-ram", true)]));
        assert!(
            agreement.missing[0].contains("destination") && agreement.missing[0].contains("postcopy-preempt")
        );
        assert!(agreement.missing[0].contains("--set migration.preempt=false"));
        assert!(agreement.notes[0].contains("postcopy-blocktime"));
    }

    #[test]
    fn what_only_qemu_knows_is_passed_on_and_goes_before_our_own() {
        let mut spec = MigrationSpec { auto_converge: true, ..MigrationSpec::default() };
        spec.capabilities =
            [("xbzrle", true), ("events", false)].map(|(name, on)| (name.to_owned(), on)).into();
        spec.parameters = [("max-bandwidth", json!(7)), ("xbzrle-cache-size", json!(1 << 20))]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        let known = known(&["events", "auto-converge", "xbzrle"]);
        let agreement = agree(&spec, &known, &known);
        assert_eq!(agreement.missing, <[String; 0]>::default());
        let steps = steps(&spec, &agreement.capabilities, &"unix:/s".into());
        assert_eq!(
            steps[0].arguments["capabilities"],
            json!([{"capability": "auto-converge", "state": true}, {"capability": "events", "state": false},
                {"capability": "xbzrle", "state": true}])
        );
        let told = &steps[2].arguments;
        assert_eq!((&told["max-bandwidth"], &told["xbzrle-cache-size"]), (&json!(7), &json!(1 << 20)));
        assert_eq!(
            (&told["max-postcopy-bandwidth"], &told["cpu-throttle-initial"]),
            (&json!(30 << 20), &json!(20))
        );
    }

    #[test]
    fn what_a_side_does_not_have_is_said_with_what_may_have_been_meant() {
        let mut spec = MigrationSpec::default();
        spec.capabilities.insert("xbzrl".into(), true);
        let names = known(&["events", "xbzrle"]);
        let said = agree(&spec, &names, &names).missing.join("\n");
        assert!(
            said.contains("QEMU does not offer the migration capability xbzrl (did you mean xbzrle?)"),
            "{said}"
        );
        assert!(said.contains("or no xbzrl in migration.capabilities"), "{said}");
        spec.parameters.insert("downtimelimit".into(), json!(3));
        spec.when
            .push(When { parameters: [("multifd-channels".to_owned(), json!(4))].into(), ..When::default() });
        let (new, old) = (known(&["downtime-limit", "multifd-channels"]), known(&["downtime-limit"]));
        assert_eq!(
            missing_parameters(&spec, [&new, &old]),
            [
                "QEMU does not offer the migration parameter downtimelimit of migration.parameters (did you mean \
                 downtime-limit?)",
                "the destination QEMU does not offer the migration parameter multifd-channels of migration.when",
            ]
        );
    }

    #[test]
    fn the_link_is_capped_before_and_after_the_switch() {
        let steps = steps(&MigrationSpec::default(), &BTreeMap::from([("events", true)]), &"unix:/s".into());
        let parameters: Vec<&Step> =
            steps.iter().filter(|step| step.command == "migrate-set-parameters").collect();
        assert_eq!(parameters.len(), 2);
        for step in parameters {
            assert_eq!(step.arguments["max-bandwidth"], 30 << 20);
            assert_eq!(step.arguments["max-postcopy-bandwidth"], 30 << 20);
            assert_eq!(step.arguments.get("cpu-throttle-initial"), None);
        }
        assert_eq!(steps.last().map(|step| step.command), Some("migrate"));
    }
}
