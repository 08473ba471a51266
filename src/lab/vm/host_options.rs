//! What the host gives one QEMU besides a machine: where its memory comes from, and the network that it is in.

use crate::lab::scenario::Scenario;
use std::path::PathBuf;

/// Entries of KVM's dirty ring for each vCPU, where a migration needs that.
const DIRTY_RING: &str = "dirty-ring-size=4096";

/// What the host gives a QEMU besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostOptions {
    /// Whether guest memory is huge pages of the kernel's pool.
    pub huge_pages: bool,
    /// Whether KVM is to log dirty pages in rings, which QEMU's `dirty-limit` needs.
    pub dirty_ring: bool,
    /// The network namespace that QEMU runs in; none for the lab's own.
    pub namespace: Option<NamespaceDoor>,
}

/// The way into a network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceDoor {
    /// The program `ip`, as it was found when the namespace was made.
    pub ip: PathBuf,
    /// The namespace's name.
    pub name: String,
}

impl HostOptions {
    /// What `scenario` asks for, on either side.
    pub fn of(scenario: &Scenario) -> Self {
        Self {
            huge_pages: scenario.vm.huge_pages,
            dirty_ring: scenario.migration.capabilities.get("dirty-limit") == Some(&true),
            namespace: None,
        }
    }

    /// The accelerator `name` with its options.
    pub(super) fn accelerator(&self, name: &str) -> String {
        if self.dirty_ring && name == "kvm" { format!("{name},{DIRTY_RING}") } else { name.to_owned() }
    }

    /// QEMU's arguments for memory of `size` that is not what a machine has by itself.
    pub(super) fn memory(&self, size: &str) -> Vec<String> {
        if !self.huge_pages {
            return Vec::new();
        }
        let object = format!("memory-backend-memfd,id=memory,size={size},hugetlb=on");
        ["-object", &object, "-machine", "memory-backend=memory"].map(String::from).to_vec()
    }

    /// The words before QEMU's own that start it where it is to run.
    pub(super) fn entry(&self) -> Vec<PathBuf> {
        let words = |NamespaceDoor { ip, name }: &NamespaceDoor| {
            [ip.clone(), "netns".into(), "exec".into(), name.into()]
        };
        self.namespace.iter().flat_map(words).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::find;

    #[test]
    fn what_a_scenario_asks_of_the_host_becomes_arguments() {
        let set = ["vm.huge_pages=true", "migration.capabilities.dirty-limit=true"].map(String::from);
        let options = HostOptions::of(&find("smoke/precopy", &set).unwrap().scenario);
        assert_eq!(options.accelerator("kvm"), "kvm,dirty-ring-size=4096");
        assert_eq!(options.accelerator("tcg,thread=multi"), "tcg,thread=multi", "emulation has no rings");
        assert_eq!(
            options.memory("262144K").join(" "),
            "-object memory-backend-memfd,id=memory,size=262144K,hugetlb=on -machine memory-backend=memory"
        );
        let usual = HostOptions::of(&find("smoke/precopy", &[]).unwrap().scenario);
        assert_eq!(usual, HostOptions::default());
        assert_eq!(
            (usual.accelerator("kvm"), usual.memory("1K"), usual.entry()),
            ("kvm".into(), vec![], vec![])
        );
        let door = NamespaceDoor { ip: "/sbin/ip".into(), name: "sully-1".into() };
        let apart = HostOptions { namespace: Some(door), ..usual };
        assert_eq!(apart.entry(), ["/sbin/ip", "netns", "exec", "sully-1"].map(PathBuf::from));
    }
}
