//! A plan's regions one by one: as plans of their own, and what is wrong with them.

use super::{
    Backing, Fault, MemoryAmount, MemoryKind, Plan, RegionAsked, Setting, name_fault, number::MOST_SHARE,
    region::prefix,
};
use crate::units::ByteSize;

/// The most regions of a plan.
pub const MOST_REGIONS: usize = 64;
/// The parameters of a region that computes.
const COMPUTING: [&str; 2] = ["threads", "cpus"];

impl Plan {
    /// For each region what its faults begin with, and a plan of that region alone. One that computes has no memory.
    pub fn parts(&self) -> Vec<(String, Self)> {
        if self.regions.is_empty() {
            return vec![(String::new(), self.clone())];
        }
        let mut common = self.clone();
        common.regions.clear();
        common.phases.clear();
        let alone = |region: &RegionAsked| {
            let mut plan = common.clone();
            plan.take(&region.settings);
            if region.compute.is_some() {
                (plan.memory, plan.kind) = (MemoryAmount::Bytes(ByteSize(0)), MemoryKind::default());
            }
            plan
        };
        self.regions.iter().map(|region| (prefix(&region.name), alone(region))).collect()
    }
}

/// What is wrong with the regions, apart from their memory and their loads.
pub(super) fn check(plan: &Plan, faults: &mut Vec<Fault>) {
    let (regions, parts) = (&plan.regions, plan.parts());
    let mut wrong = |what: String, remedy: &str| faults.push(Fault { what, remedy: remedy.into() });
    if regions.len() > MOST_REGIONS {
        wrong(format!("{} regions are too many: at most {MOST_REGIONS}", regions.len()), "leave some out");
    }
    if !regions.is_empty() && plan.memory != Plan::default().memory {
        wrong(
            format!("--memory {} is not divided among regions", plan.memory),
            "give each [[region]] a memory of its own, and leave memory out elsewhere",
        );
    }
    let of_memory = || regions.iter().filter(|region| region.compute.is_none());
    if !regions.is_empty() && of_memory().next().is_none() {
        wrong(
            "no region has memory: all of them compute".into(),
            "give one memory instead; with --rate 0 it is held and not visited",
        );
    } else if !regions.is_empty() && of_memory().all(|region| region.share == Some(0)) {
        wrong("no region has a share of the rate".into(), "give one of them share = 1");
    }
    for (index, region) in regions.iter().enumerate() {
        let before = &regions[..index];
        let mut wrong = |what: &str, remedy: &str| {
            let what = format!("region {} '{}': {what}", index + 1, region.name.escape_debug());
            wrong(what, remedy);
        };
        if name_fault(&region.name).is_some() {
            wrong("a name has 1 to 64 bytes and no control characters", "give it one: name = \"hot\"");
        } else if before.iter().any(|other| other.name == region.name) {
            wrong("the name is taken", "give each region a name of its own");
        }
        if region.compute.is_some() {
            let idle = region.settings.iter().map(Setting::name).find(|name| !COMPUTING.contains(name));
            let idle = idle.or(region.share.map(|_| "share"));
            if let Some(name) = idle {
                let remedy = "leave it out: beside compute and a name a region says threads and cpus alone";
                wrong(&format!("it computes and has no memory, and says {name}"), remedy);
            }
        } else if !region.says("memory") {
            wrong(
                "it has no memory",
                "give it some, for example memory = \"256M\", or have it compute: compute = 500",
            );
        }
        if region.share > Some(MOST_SHARE) {
            wrong("its share is above 1000000", "shares count only beside each other: use smaller ones");
        }
        let file = |index: usize| match &parts[index].1.kind.backing {
            Backing::File(path) => Some(path),
            Backing::Anon | Backing::Shared => None,
        };
        if file(index).is_some() && (0..index).any(|other| file(other) == file(index)) {
            wrong("its backing file is another region's too", "give each region a file of its own");
        }
    }
}
