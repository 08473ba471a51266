//! What both QEMUs are told before a migration begins: capabilities, parameters, the channel.

use crate::lab::scenario::MigrationSpec;
use crate::record::Side;
use serde_json::{Value, json};

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

/// What `query-migrate-capabilities` answered: the names QEMU knows.
pub fn names(answer: &Value) -> Vec<String> {
    let entries = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.get("capability")?.as_str().map(str::to_owned)).collect()
}

/// A capability that is wanted.
struct Wanted {
    name: &'static str,
    /// The scenario's key that asks for it; none for what only adds to the report.
    key: Option<&'static str>,
}

fn wanted(spec: &MigrationSpec) -> Vec<Wanted> {
    let optional = |name| Wanted { name, key: None };
    let mut wanted = vec![optional("events")];
    if spec.auto_converge {
        wanted.push(Wanted { name: "auto-converge", key: Some("migration.auto_converge") });
    }
    if spec.postcopy {
        wanted.push(Wanted { name: "postcopy-ram", key: Some("migration.postcopy") });
        wanted.push(optional("postcopy-blocktime"));
    }
    if spec.preempt {
        wanted.push(Wanted { name: "postcopy-preempt", key: Some("migration.preempt") });
    }
    wanted
}

/// What the sides can do of what is wanted.
#[derive(Debug, Default, PartialEq)]
pub struct Agreement {
    /// Capabilities to switch on, on both sides.
    pub enabled: Vec<&'static str>,
    /// What will be missing from the report.
    pub notes: Vec<String>,
    /// What the migration cannot do without, and the way out.
    pub missing: Vec<String>,
}

/// Compares what is wanted with what each side knows.
pub fn agree(spec: &MigrationSpec, source: &[String], destination: &[String]) -> Agreement {
    let mut agreement = Agreement::default();
    for Wanted { name, key } in wanted(spec) {
        let lacks = |known: &[String]| !known.iter().any(|known| known == name);
        let who = match (lacks(source), lacks(destination)) {
            (false, false) => {
                agreement.enabled.push(name);
                continue;
            }
            (true, true) => "QEMU does",
            (true, false) => "the source QEMU does",
            (false, true) => "the destination QEMU does",
        };
        match key {
            Some(key) => agreement.missing.push(format!(
                "{who} not offer the migration capability {name}: take a QEMU that does (--qemu PATH), or --set {key}=false"
            )),
            None => agreement
                .notes
                .push(format!("{who} not offer the migration capability {name}: what it would add is absent")),
        }
    }
    agreement
}

/// What may stand behind a refusal of the capabilities.
pub const fn capability_hint(spec: &MigrationSpec) -> &'static str {
    if spec.postcopy {
        "; post-copy needs userfaultfd: run as root or set the sysctl vm.unprivileged_userfaultfd=1"
    } else {
        ""
    }
}

/// The commands in their order; the last one starts the migration.
pub fn steps(spec: &MigrationSpec, enabled: &[&str], uri: &str) -> Vec<Step> {
    let list: Vec<Value> = enabled.iter().map(|name| json!({"capability": name, "state": true})).collect();
    let capabilities = json!({ "capabilities": list });
    let both = [Side::Destination, Side::Source];
    let told = |command: &'static str, arguments: Value| {
        both.map(|side| Step { side, command, arguments: arguments.clone(), otherwise: None })
    };
    let mut steps = Vec::new();
    if !enabled.is_empty() {
        steps.extend(told("migrate-set-capabilities", capabilities));
    }
    steps.extend(told("migrate-set-parameters", parameters(spec)));
    steps.push(Step {
        side: Side::Destination,
        command: "migrate-incoming",
        // A destination that stays can be asked what went wrong; QEMU before 9.1 does not know the argument.
        arguments: json!({"uri": uri, "exit-on-error": false}),
        otherwise: Some(json!({"uri": uri})),
    });
    steps.push(Step {
        side: Side::Source,
        command: "migrate",
        arguments: json!({"uri": uri}),
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
    if spec.auto_converge
        && let Some(table) = parameters.as_object_mut()
    {
        table.insert("cpu-throttle-initial".into(), spec.throttle_initial.into());
        table.insert("cpu-throttle-increment".into(), spec.throttle_increment.into());
        table.insert("max-cpu-throttle".into(), spec.throttle_max.into());
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_required_and_missing_is_said_with_the_side_and_the_way_out() {
        let spec = MigrationSpec { postcopy: true, preempt: true, ..MigrationSpec::default() };
        let new = known(&["events", "postcopy-ram", "postcopy-preempt", "postcopy-blocktime"]);
        let old = known(&["events", "postcopy-ram"]);
        let agreement = agree(&spec, &new, &old);
        assert_eq!(agreement.enabled, ["events", "postcopy-ram"]);
        assert!(
            agreement.missing[0].contains("destination") && agreement.missing[0].contains("postcopy-preempt")
        );
        assert!(agreement.missing[0].contains("--set migration.preempt=false"));
        assert!(agreement.notes[0].contains("postcopy-blocktime"));
    }

    #[test]
    fn the_link_is_capped_before_and_after_the_switch() {
        let steps = steps(&MigrationSpec::default(), &["events"], "unix:/s");
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
