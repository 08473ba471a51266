//! A scenario: which VM, which load, which migration, and what is expected of it. TOML on disk.

mod bandwidth;
mod builtin;
mod change;
mod check;
mod cycle;
mod demand;
mod keys;
mod link;
mod link_rate;
mod load;
mod plan_file;
mod precedence;
mod qemus_own;
mod scale;
mod scan;
mod trigger;
mod when;

pub use bandwidth::Bandwidth;
pub use builtin::{BUILTIN, Builtin, expand};
pub use check::{check, too_long};
pub use demand::{Comparison, Demand};
pub use keys::nearest;
pub use link::{LinkKind, LinkSpec};
pub use link_rate::pages_of_link;
pub use load::{Resolved, ScenarioError, again, find, find_scaled, parse};
pub use scale::Scale;
pub use scan::{Scan, variants};
pub use trigger::Trigger;
pub use when::{Deed, Parameters, When};

use crate::plan::{MemoryAmount, Plan};
use crate::units::{ByteSize, Nanos, PAGE_BYTES, Rate, Share};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the guest finds the plan of its load.
pub const GUEST_PATH: &str = "/plan.toml";
/// The guest program's arguments: what follows `--` on the kernel command line. All else is said by the plan.
pub const GUEST_ARGUMENTS: &str = "run --plan /plan.toml --report virtio";

/// What one run does, every value resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scenario {
    /// Names the run directory; parts are separated by `/`.
    pub name: String,
    /// One sentence for the list of scenarios.
    pub summary: String,
    /// The virtual machine, the same on both sides.
    pub vm: VmSpec,
    /// What the guest does. It is read as a plan, apart from all else.
    #[serde(skip_deserializing)]
    pub load: LoadSpec,
    /// What it is migrated over.
    pub link: LinkSpec,
    /// How it is migrated.
    pub migration: MigrationSpec,
    /// Saves and restores in place of a migration; none migrates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle: Option<CycleSpec>,
    /// How its records are collected.
    pub collect: CollectSpec,
    /// What must come of it.
    pub expect: ExpectSpec,
}

/// The virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VmSpec {
    /// Guest memory.
    pub memory: ByteSize,
    /// vCPUs.
    pub cpus: u32,
    /// Whether guest memory is made a little larger where QEMU would corrupt it otherwise (emulation before 9.0).
    pub ram_workaround: bool,
    /// How long the guest may take from its start to its first record.
    pub hello_within: Nanos,
    /// Whether the host backs guest memory with huge pages from its pool.
    pub huge_pages: bool,
    /// The machine, by QEMU's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The CPU model, by QEMU's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// QEMU's arguments besides those of the lab, on both sides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub qemu_args: Vec<String>,
}

/// What the guest does: a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadSpec {
    /// The plan that the guest gets.
    pub asked: Plan,
    /// The share of the link that its rate is tied to; none for a rate by itself.
    pub link_share: Option<Share>,
    /// The text of a plan file, or the name of one. What it says goes before what a scenario says; only `--set` goes before it.
    pub plan: Option<String>,
}

/// How the guest is migrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MigrationSpec {
    /// The link, before and after a switch to post-copy.
    pub bandwidth: Bandwidth,
    /// The downtime QEMU may plan with.
    pub downtime_limit: Nanos,
    /// Whether QEMU throttles a guest that dirties too fast.
    pub auto_converge: bool,
    /// The first throttle level, percent.
    pub throttle_initial: u32,
    /// What each further step adds, percentage points.
    pub throttle_increment: u32,
    /// The highest level, percent.
    pub throttle_max: u32,
    /// Whether the guest is switched over before its memory is.
    pub postcopy: bool,
    /// When it is.
    pub postcopy_after: Trigger,
    /// Whether pages the guest waits for overtake others on a channel of their own.
    pub preempt: bool,
    /// Capabilities that are switched on or off besides, by QEMU's names; they go before what the keys above ask for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub capabilities: BTreeMap<String, bool>,
    /// Parameters that are set besides, by QEMU's names; they go before what the keys above ask for.
    #[serde(skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// What is done in the middle of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<When>,
    /// The longest the migration may take.
    pub timeout: Nanos,
    /// The longest the lab waits afterwards for the load to be steady again.
    pub settle: Nanos,
}

/// What is saved and restored, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CycleSpec {
    /// How many times.
    pub cycles: u32,
    /// How many guests are restored from each file.
    pub forks: u32,
    /// What the guest dirties before it is stopped, to the page, and then holds still; none leaves its load running until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty: Option<ByteSize>,
    /// Whether each page has a place of its own in the file.
    pub mapped_ram: bool,
}

/// How its records are collected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CollectSpec {
    /// How often both connections are broken at random moments of the run, with all that is on its way: a test of the
    /// link, which must lose nothing.
    pub restarts: u32,
}

/// What must come of it; what is absent is not judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExpectSpec {
    /// How the migration must end.
    pub outcome: ExpectedOutcome,
    /// The most downtime QEMU may report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_downtime: Option<Nanos>,
    /// Whether QEMU must (or must not) have throttled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled: Option<bool>,
    /// Whether the migration must (or must not) have gone through post-copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postcopy: Option<bool>,
    /// Whether the guest must have found corrupt pages: a proof that it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corruption: Option<bool>,
    /// How many runs may be made until one names the corrupt pages that are expected.
    pub tries: u32,
    /// What must be true of the report's figures, such as `downtime_ms < 300`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Demand>,
}

/// How a migration must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpectedOutcome {
    /// The guest runs at the destination.
    #[default]
    Completed,
    /// It does not get there.
    Failed,
    /// Either: something else is to be found out.
    Any,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "unnamed".into(),
            summary: String::new(),
            vm: VmSpec::default(),
            load: LoadSpec::default(),
            link: LinkSpec::default(),
            migration: MigrationSpec::default(),
            cycle: None,
            collect: CollectSpec::default(),
            expect: ExpectSpec::default(),
        }
    }
}

impl Default for VmSpec {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(256),
            cpus: 1,
            ram_workaround: true,
            hello_within: Nanos::from_secs(60),
            huge_pages: false,
            machine: None,
            cpu: None,
            qemu_args: Vec::new(),
        }
    }
}

impl Default for LoadSpec {
    fn default() -> Self {
        let asked = Plan {
            memory: MemoryAmount::Bytes(ByteSize::mib(64)),
            rate: Rate::PagesPerSecond(60 * 256),
            baseline: Nanos::from_secs(4),
            interval: Nanos::from_ms(100),
            ..Plan::default()
        };
        Self { asked, link_share: None, plan: None }
    }
}

impl Default for MigrationSpec {
    fn default() -> Self {
        Self {
            bandwidth: Bandwidth(30 << 20),
            downtime_limit: Nanos::from_ms(300),
            auto_converge: false,
            throttle_initial: 20,
            throttle_increment: 10,
            throttle_max: 99,
            postcopy: false,
            postcopy_after: Trigger::FirstPass,
            preempt: false,
            capabilities: BTreeMap::new(),
            parameters: Parameters::new(),
            when: Vec::new(),
            timeout: Nanos::from_secs(120),
            settle: Nanos::from_secs(10),
        }
    }
}

impl Default for CycleSpec {
    fn default() -> Self {
        Self { cycles: 3, forks: 1, dirty: None, mapped_ram: false }
    }
}

impl Default for ExpectSpec {
    fn default() -> Self {
        Self {
            outcome: ExpectedOutcome::Completed,
            max_downtime: None,
            throttled: None,
            postcopy: None,
            corruption: None,
            tries: 1,
            figures: Vec::new(),
        }
    }
}

impl VmSpec {
    /// QEMU's arguments besides those of the lab. The machine and the CPU model are said again: QEMU takes the last ones.
    pub fn qemu_arguments(&self) -> Vec<String> {
        let machine = self.machine.iter().flat_map(|name| ["-machine", name]);
        let cpu = self.cpu.iter().flat_map(|name| ["-cpu", name]);
        machine.chain(cpu).map(String::from).chain(self.qemu_args.iter().cloned()).collect()
    }
}

impl MigrationSpec {
    /// What is done in the middle of it, the switch to post-copy by `postcopy` included.
    pub fn steps(&self) -> Vec<When> {
        let switch = self.postcopy.then(|| self.postcopy_after.as_step());
        switch.into_iter().chain(self.when.iter().cloned()).collect()
    }

    /// Whether it gives parameters by QEMU's names.
    pub fn names_parameters(&self) -> bool {
        !self.parameters.is_empty() || self.when.iter().any(|step| !step.parameters.is_empty())
    }

    /// Whether it may come to post-copy.
    pub fn may_postcopy(&self) -> bool {
        self.postcopy || self.when.iter().any(|step| step.deed == Deed::PostCopy)
    }

    /// Whether QEMU may throttle the guest.
    pub fn may_throttle(&self) -> bool {
        self.auto_converge || self.capabilities.get("auto-converge") == Some(&true)
    }
}

impl CycleSpec {
    /// The pages that are dirtied before each save.
    pub fn dirty_pages(&self) -> Option<u64> {
        self.dirty.map(|size| size.0 / PAGE_BYTES)
    }
}

impl Scenario {
    /// As TOML that loads back to the same scenario.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_is_told_where_its_plan_is() {
        assert!(GUEST_ARGUMENTS.contains(&format!("--plan {GUEST_PATH} ")));
    }

    #[test]
    fn the_defaults_print_as_toml_and_load_back() {
        let scenario = Scenario::default();
        assert_eq!(parse(&scenario.to_toml(), "test").unwrap(), scenario);
    }
}
