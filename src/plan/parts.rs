//! A plan's regions one by one: as plans of their own, and what is wrong with them.

use super::{
    Backing, Fault, MemoryKind, Plan, RegionAsked, name_fault,
    region::{MOST_SHARE, prefix},
};

/// The most regions of a plan.
const MOST_REGIONS: usize = 64;

impl Plan {
    /// For each region what its faults begin with, and a plan of that region alone.
    pub fn parts(&self) -> Vec<(String, Self)> {
        if self.regions.is_empty() {
            return vec![(String::new(), self.clone())];
        }
        let alone = |region: &RegionAsked| Self {
            memory: region.memory.unwrap_or(self.memory),
            kind: MemoryKind {
                pages: region.pages.unwrap_or(self.kind.pages),
                backing: region.backing.clone().unwrap_or_else(|| self.kind.backing.clone()),
                numa: region.numa.or(self.kind.numa),
                lock: region.lock.unwrap_or(self.kind.lock),
            },
            threads: region.threads.or(self.threads),
            regions: Vec::new(),
            phases: Vec::new(),
            ..self.clone()
        };
        self.regions.iter().map(|region| (prefix(&region.name), alone(region))).collect()
    }
}

/// What is wrong with the regions, apart from their memory and their loads.
pub(super) fn check(plan: &Plan, faults: &mut Vec<Fault>) {
    let regions = &plan.regions;
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
    if !regions.is_empty() && regions.iter().all(|region| region.share == Some(0)) {
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
        if region.memory.is_none() {
            wrong("it has no memory", "give it some, for example memory = \"256M\"");
        }
        if region.share > Some(MOST_SHARE) {
            wrong("its share is above 1000000", "shares count only beside each other: use smaller ones");
        }
        let file = |region: &RegionAsked| {
            let backing = region.backing.as_ref().unwrap_or(&plan.kind.backing);
            matches!(backing, Backing::File(_)).then(|| backing.clone())
        };
        if file(region).is_some() && before.iter().any(|other| file(other) == file(region)) {
            wrong("its backing file is another region's too", "give each region a file of its own");
        }
    }
}
