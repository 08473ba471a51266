//! What is done in the middle of a migration, and when: `[[migration.when]]`.

use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// Values by QEMU's own names, such as `downtime-limit`.
pub type Parameters = BTreeMap<String, Value>;

/// Something that is done once: as soon as all of the conditions that are given hold at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The pass that has begun, as QEMU counts: the first one sends all of the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<u64>,
    /// So long after the migration began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Nanos>,
    /// So many passes in a row each began with no less left to send than the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_converging: Option<u64>,
    /// QEMU's own word for how the migration stands, such as `postcopy-active`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What is done.
    #[serde(rename = "do")]
    pub deed: Deed,
    /// What `do = "set"` sets.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
}

/// What can be done in the middle of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// The guest is switched over before its memory is.
    #[default]
    PostCopy,
    /// The guest is paused until it is at the destination, or back at the source: what it no longer dirties gets through.
    Pause,
    /// The migration is given up; the guest goes on at the source.
    Cancel,
    /// The link is cut, as a network that fails does; where there is to be a post-copy not before the guest runs at the destination.
    Cut,
    /// A post-copy whose link was cut goes on over a new one.
    Recover,
    /// A migration that waits before its switch goes on (`pause-before-switchover`).
    Continue,
    /// QEMU's parameters are changed.
    Set,
}

/// How a scenario writes them.
pub const DEEDS: [&str; 7] = ["post-copy", "pause", "cancel", "continue", "cut", "recover", "set"];

/// The states of a migration in which something can be done, by QEMU's names up to 11.1.
pub const STATES: [&str; 9] = [
    "setup",
    "active",
    "postcopy-device",
    "postcopy-active",
    "postcopy-paused",
    "postcopy-recover-setup",
    "postcopy-recover",
    "pre-switchover",
    "device",
];

impl When {
    /// Whether no condition is given.
    pub const fn is_always(&self) -> bool {
        self.pass.is_none() && self.after.is_none() && self.not_converging.is_none() && self.status.is_none()
    }
}

/// The conditions, as a sentence goes on after "when".
impl fmt::Display for When {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = [
            self.pass.map(|pass| format!("pass {pass} had begun")),
            self.after.map(|time| format!("{time} were over")),
            self.not_converging.map(|passes| format!("{passes} passes in a row had not less to send")),
            self.status.as_ref().map(|status| format!("QEMU said {status}")),
        ];
        out.write_str(&conditions.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}

/// What is wrong with these steps, each fault as a sentence with the way out.
pub(super) fn faults(steps: &[When], timeout: Nanos) -> Vec<String> {
    let mut faults = Vec::new();
    for (step, number) in steps.iter().zip(1..) {
        let mut fault = |what: String| faults.push(format!("migration.when, step {number}: {what}"));
        if step.is_always() {
            fault("it has no condition: give it pass, after, not_converging or status".into());
        }
        if step.pass == Some(0) || step.not_converging == Some(0) {
            fault("passes are counted from 1".into());
        }
        if let Some(status) = step.status.as_deref().filter(|status| !STATES.contains(status)) {
            fault(format!(
                "nothing can be done at the migration status '{}': expected one of {}",
                crate::units::shown(status, 40),
                STATES.join(", ")
            ));
        }
        if let Some(after) = step.after.filter(|after| *after >= timeout) {
            fault(format!(
                "after = {after} never comes: migration.timeout = {timeout} ends the migration before"
            ));
        }
        if (step.deed == Deed::Set) == step.parameters.is_empty() {
            fault(
                "do = \"set\" and parameters go together, for example parameters = { downtime-limit = 500 }"
                    .into(),
            );
        }
    }
    faults
}

/// What is wrong with values that go to QEMU as they are: JSON knows no NaN and no date.
pub(super) fn value_faults(parameters: &Parameters, steps: &[When]) -> Vec<String> {
    let given = parameters.iter().chain(steps.iter().flat_map(|step| &step.parameters));
    let is_wrong = |value: &Value| match value {
        Value::Null => true,
        Value::Object(fields) => fields.keys().any(|key| key.starts_with('$')),
        _ => false,
    };
    given
        .filter(|(name, value)| name.is_empty() || is_wrong(value))
        .map(|(name, _)| {
            let name = crate::units::shown(name, 60);
            format!("migration.parameters.{name} cannot be: a parameter has a name, and a number, a text, true or false for its value")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::parse;

    #[test]
    fn steps_load_back_as_they_print() {
        let text = "[[migration.when]]\nafter = \"10s\"\ndo = \"set\"\nparameters = { downtime-limit = 500 }\n\
            [[migration.when]]\nnot_converging = 3\nstatus = \"active\"\ndo = \"post-copy\"\n";
        let scenario = parse(text, "x").unwrap();
        assert_eq!(scenario.migration.when.len(), 2);
        assert_eq!(
            scenario.migration.when[1].to_string(),
            "3 passes in a row had not less to send and QEMU said active"
        );
        assert_eq!(parse(&scenario.to_toml(), "again").unwrap(), scenario);
    }

    #[test]
    fn every_deed_is_read() {
        for deed in DEEDS {
            let read: Deed = serde_json::from_value(deed.into()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), deed);
        }
    }

    #[test]
    fn a_step_that_cannot_be_is_refused_with_its_number_and_the_way_out() {
        for (step, part) in [
            ("do = \"cancel\"", "step 1: it has no condition: give it pass, after, not_converging or status"),
            ("after = \"3m\"\ndo = \"cancel\"", "after = 3m never comes: migration.timeout = 2m"),
            ("pass = 0\ndo = \"cancel\"", "passes are counted from 1"),
            ("pass = 2\ndo = \"set\"", "do = \"set\" and parameters go together"),
            ("pass = 2\ndo = \"pause\"\nparameters = { x = 1 }", "do = \"set\" and parameters go together"),
        ] {
            let said = parse(&format!("[[migration.when]]\n{step}\n"), "x").unwrap_err().to_string();
            assert!(said.contains(part), "{step}: {said}");
        }
    }
}
