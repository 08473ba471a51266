//! The regions of a plan: memory of several kinds, each with writers of its own, a share of the rate, and what its visits
//! do whatever the load says.

use super::{Backing, ContentSpec, Fault, Load, MemoryAmount, MemoryKind, Numa, PageSize, PatternSpec};
use crate::units::{Rate, Share};
use serde::{Deserialize, Serialize};

/// The largest share: with every region at it, the rate of each is still exact in 64 bits.
pub(super) const MOST_SHARE: u32 = 1_000_000;

/// What is asked of one region; what it leaves out is as the plan says, but for its memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegionAsked {
    /// Its name.
    pub name: String,
    /// How much memory; none is a fault.
    pub memory: Option<MemoryAmount>,
    /// The size of the pages that back it.
    pub pages: Option<PageSize>,
    /// What backs it.
    pub backing: Option<Backing>,
    /// On which NUMA node.
    pub numa: Option<Numa>,
    /// Whether it is locked into memory.
    pub lock: Option<bool>,
    /// Its writers.
    pub threads: Option<u32>,
    /// Its part of the rate; none is 1.
    pub share: Option<u32>,
    /// What its visits do.
    pub habits: Habits,
}

/// What a region's visits do whatever plan, phases and commands say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Habits {
    /// The order of visits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<PatternSpec>,
    /// The share of visits that only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Share>,
    /// How much of a page a visit writes, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_bytes: Option<u64>,
    /// What pages hold beyond their stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentSpec>,
}

/// One region as it will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct PlannedRegion {
    /// Its name.
    pub name: String,
    /// Memory to dirty, whole pages.
    pub memory_bytes: u64,
    /// What kind of memory.
    #[serde(flatten)]
    pub kind: MemoryKind,
    /// Its writers.
    pub threads: u32,
    /// Its part of the rate, in proportion to the other regions'.
    pub share: u32,
    /// What its visits do whatever the load says.
    #[serde(flatten)]
    pub habits: Habits,
}

impl Habits {
    /// The load as the region has it, at the whole rate.
    #[must_use]
    pub fn on(self, load: Load) -> Load {
        Load {
            pattern: self.pattern.unwrap_or(load.pattern),
            reads: self.reads.unwrap_or(load.reads),
            write_bytes: self.write_bytes.unwrap_or(load.write_bytes),
            content: self.content.unwrap_or(load.content),
            ..load
        }
    }
}

/// What one writer has of every load of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lot {
    habits: Habits,
    /// The shares of the regions before its own, of those with its own, and of all.
    shares: [u64; 3],
    /// Which writer of its region, from 0.
    pub writer: u32,
    /// How many the region has.
    pub writers: u32,
}

impl Lot {
    /// Of writer number `writer` of all `regions` or, where there are none, of `writers`.
    pub(super) fn of(regions: &[PlannedRegion], writer: u32, writers: u32) -> Self {
        let all: u64 = regions.iter().map(|region| u64::from(region.share)).sum();
        let (mut before, mut first) = (0, 0);
        for region in regions {
            let with = before + u64::from(region.share);
            if writer - first < region.threads {
                let (habits, shares) = (region.habits, [before, with, all.max(1)]);
                return Self { habits, shares, writer: writer - first, writers: region.threads };
            }
            (before, first) = (with, first + region.threads);
        }
        Self { habits: Habits::default(), shares: [0, 1, 1], writer, writers }
    }

    /// What of `load` the writers of the region do together.
    ///
    /// The rates of all regions are whole pages a second and add up to the load's: a region's is off from its exact share
    /// by less than one. `max` is `max` for every region that has a share.
    #[must_use]
    pub fn load(&self, load: &Load) -> Load {
        let [before, with, all] = self.shares;
        let part = |rate| match rate {
            Rate::Max if with > before => Rate::Max,
            Rate::Max => Rate::PagesPerSecond(0),
            Rate::PagesPerSecond(rate) => Rate::PagesPerSecond(rate * with / all - rate * before / all),
        };
        let mut load = self.habits.on(*load);
        load.rate = part(load.rate);
        if let Some(ramp) = &mut load.ramp {
            ramp.from = part(ramp.from);
        }
        let is_level = load.ramp.is_some_and(|ramp| ramp.from == load.rate);
        Load { ramp: load.ramp.filter(|_| !is_level), ..load }
    }
}

/// What does not go together in `load` as regions have it, and is no fault of the load itself.
pub(super) fn habit_faults<'a>(regions: impl Iterator<Item = (&'a str, Habits)>, load: &Load) -> Vec<Fault> {
    let own = load.faults();
    let mut faults = Vec::new();
    for (name, habits) in regions {
        for fault in habits.on(*load).faults() {
            if !own.contains(&fault) {
                faults.push(Fault { what: prefix(name) + &fault.what, remedy: fault.remedy });
            }
        }
    }
    faults
}

/// What faults of a region begin with; nothing for the one without a name.
pub(super) fn prefix(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("region '{}': ", name.escape_debug()) }
}

#[cfg(test)]
mod tests;
