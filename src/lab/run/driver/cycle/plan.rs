//! What one cycle is to do: the file, how QEMU names it, and what the scenario asks.

use crate::lab::scenario::Scenario;
use crate::lab::shell;
use crate::plan::PatternSpec;
use crate::units::Nanos;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;

/// As fast as the disk takes it, bytes a second: the link's bandwidth has no meaning here.
const BANDWIDTH: u64 = 1 << 40;
/// Transports of QEMU's that stand together in its schema; `file` is one of them from 8.2 on.
const TRANSPORTS: [&str; 2] = ["socket", "exec"];

/// What a QEMU is answered with that cannot give each page a place in the file.
pub const NO_MAPPED_RAM: &str = "this QEMU has no mapped-ram, which cycle.mapped_ram = true needs: use one from 9.0 on, or \
                                 --set cycle.mapped_ram=false";

/// The file of a saved state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFile(pub PathBuf);

/// How QEMU is told to write the file, and to read it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct StateUris {
    pub(super) save: String,
    pub(super) restore: String,
    /// Whether QEMU opens the file itself.
    is_file: bool,
}

impl StateFile {
    /// For a QEMU with this schema.
    pub(super) fn uris(&self, schema: &Value) -> StateUris {
        let path = self.0.display().to_string();
        if has_file(schema) {
            let uri = format!("file:{path}");
            return StateUris { save: uri.clone(), restore: uri, is_file: true };
        }
        let quoted = shell::word(&path);
        let (save, restore) = (format!("exec:cat > {quoted}"), format!("exec:cat {quoted}"));
        StateUris { save, restore, is_file: false }
    }
}

/// Whether QEMU can migrate to a file by itself.
fn has_file(schema: &Value) -> bool {
    let has = |entry: &Value, name: &str| {
        let values = entry.get("values").and_then(Value::as_array);
        values.is_some_and(|values| values.iter().any(|value| value == name))
    };
    let entries = schema.as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().any(|entry| has(entry, "file") && TRANSPORTS.iter().all(|name| has(entry, name)))
}

/// What one cycle is to do.
#[derive(Debug, Clone)]
pub struct CyclePlan {
    /// Which it is, from 1.
    pub number: u32,
    /// What is dirtied before the guest is stopped.
    pub(super) dirty_pages: Option<u64>,
    pub(super) forks: u32,
    mapped_ram: bool,
    capabilities: Vec<(String, bool)>,
    parameters: Map<String, Value>,
    pub(super) timeout: Nanos,
    pub(super) settle: Nanos,
    pub(super) file: StateFile,
    /// Why no visit is known to be its page's first.
    pub(super) no_first_touch: Option<String>,
    /// Whether pages carry stamps.
    pub(super) verifies: bool,
}

impl CyclePlan {
    /// The cycle number `number` of `scenario`, by way of `file`.
    pub fn of(scenario: &Scenario, number: u32, file: StateFile) -> Self {
        let (cycle, migration) = (scenario.cycle.clone().unwrap_or_default(), &scenario.migration);
        Self {
            number,
            dirty_pages: cycle.dirty_pages(),
            forks: cycle.forks,
            mapped_ram: cycle.mapped_ram,
            capabilities: migration.capabilities.iter().map(|(name, on)| (name.clone(), *on)).collect(),
            parameters: migration.parameters.clone().into_iter().collect(),
            timeout: migration.timeout,
            settle: migration.settle,
            file,
            no_first_touch: no_first_touch(scenario),
            verifies: scenario.load.asked.verify,
        }
    }

    /// What the guest calls its load after the restore.
    pub(super) fn phase(&self) -> String {
        format!("cycle-{}", self.number)
    }

    /// What a QEMU without what is asked for is to be answered with; none where it has all.
    pub(super) fn missing(&self, known: &[String], uris: &StateUris) -> Option<String> {
        let lacks = self.mapped_ram && !(uris.is_file && known.iter().any(|name| name == "mapped-ram"));
        lacks.then(|| NO_MAPPED_RAM.into())
    }

    /// What a QEMU is told before `last`, in order.
    pub(super) fn prepared(&self, last: (&'static str, Value)) -> VecDeque<(&'static str, Value)> {
        let own = [("events", true)].into_iter().chain(self.mapped_ram.then_some(("mapped-ram", true)));
        let given = self.capabilities.iter().map(|(name, on)| (name.as_str(), *on));
        let capabilities: Vec<Value> =
            own.chain(given).map(|(name, on)| json!({ "capability": name, "state": on })).collect();
        let mut parameters = Map::from_iter([("max-bandwidth".to_owned(), BANDWIDTH.into())]);
        parameters.extend(self.parameters.clone());
        [
            ("migrate-set-capabilities", json!({ "capabilities": capabilities })),
            ("migrate-set-parameters", Value::Object(parameters)),
            last,
        ]
        .into()
    }
}

/// Why no visit after a restore is known to be its page's first; none where the load begins with each page once.
fn no_first_touch(scenario: &Scenario) -> Option<String> {
    let (cycle, load) = (scenario.cycle.as_ref()?, &scenario.load.asked);
    let why = match load.pattern {
        _ if cycle.dirty.is_none() => {
            "the load ran while it was stopped, and goes on in the middle: cycle.dirty holds it still"
        }
        _ if !load.latency => "visits are not timed",
        _ if load.threads.unwrap_or(scenario.vm.cpus) != 1 => {
            "several writers begin their laps at paces of their own: use load.threads = 1"
        }
        _ if !load.regions.is_empty() => "regions begin their laps at paces of their own",
        PatternSpec::Shuffle | PatternSpec::Sequential => return None,
        _ => "this load.pattern comes to some pages again before it has met all: use shuffle or sequential",
    };
    Some(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qemu_that_opens_files_itself_is_told_by_its_schema_and_any_other_has_a_shell_do_it() {
        let file = StateFile("/a b/it's".into());
        let of = |values: &[&str]| file.uris(&json!([{ "meta-type": "enum", "values": values }]));
        let uris = of(&["socket", "exec", "rdma", "file"]);
        assert_eq!((uris.save.as_str(), uris.restore.as_str()), ("file:/a b/it's", "file:/a b/it's"));
        for values in [&["socket", "exec", "rdma"][..], &["file", "null"]] {
            let uris = of(values);
            assert_eq!(uris.save, r"exec:cat > '/a b/it'\''s'");
            assert_eq!(uris.restore, r"exec:cat '/a b/it'\''s'");
        }
        assert!(!has_file(&Value::Null));
    }

    #[test]
    fn first_touches_are_told_of_a_load_that_was_held_and_meets_each_page_once() {
        let why = |text: &str| no_first_touch(&crate::lab::scenario::parse(text, "x").unwrap());
        assert_eq!(why("[cycle]\ndirty = \"1M\"\n"), None);
        for (text, said) in [
            ("[cycle]\n", "cycle.dirty holds it"),
            ("[cycle]\ndirty = \"1M\"\n[load]\nthreads = 2\n", "use load.threads = 1"),
            ("[cycle]\ndirty = \"1M\"\n[load]\npattern = \"random\"\n", "use shuffle"),
        ] {
            assert!(why(text).unwrap().contains(said), "{text}");
        }
    }
}
