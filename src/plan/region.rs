//! The regions of a plan: memory of several kinds, each with writers of its own, a share of the rate, and what its visits
//! do whatever the load says.

use super::table::parameters;
use super::{ContentSpec, Fault, Load, MemoryKind, PaceSpec, PatternSpec, Setting};
use crate::units::{Rate, Share};
use serde::{Deserialize, Serialize};

/// What is asked of one region; what it leaves out is as the plan says, but for its memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegionAsked {
    /// Its name.
    pub name: String,
    /// Its part of the rate; none is 1, or 0 where it computes.
    pub share: Option<u32>,
    /// The units of work that its writers compute in a second, all together, instead of visiting memory.
    pub compute: Option<u32>,
    /// What it has of its own.
    pub settings: Vec<Setting>,
}

impl RegionAsked {
    /// The keys of a region that are no parameters: the form of each, and what it is.
    pub const KEYS: [(&'static str, &'static str, &'static str); 3] = [
        ("name", "1 to 64 bytes", "The region's name"),
        (
            "share",
            "0 to 1000000",
            "Its part of the rate, in proportion to the other regions'; 0 is held and not visited [default: 1]",
        ),
        (
            "compute",
            "1 to 1000000",
            "Units of work a second that its writers compute, all together: it has no memory and visits none, whatever the \
             load says. A unit is 4096 steps of arithmetic, each of which needs the one before it",
        ),
    ];

    /// Whether it says a value of its own for the parameter called `name`.
    pub fn says(&self, name: &str) -> bool {
        self.settings.iter().any(|setting| setting.name() == name)
    }
}

macro_rules! access {
    (amount $amount:tt kind $kind:tt load { $(
        #[doc = $doc:tt] $field:ident $name:tt: $type:ty = $usual:expr, $how:tt
        [$(hello $hello:meta,)? $(load $load:meta,)? $(in $phase:ident,)? $(own $region:ident,)?] $column:tt
    )* } $($other:tt)*) => {
        /// What a region's visits do whatever plan, phases and commands say.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
        pub struct AccessOptions {
            $( $(
                // Only the rows that have the word; the attribute itself is nothing.
                #[cfg_attr(false, $region)]
                #[doc = $doc]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )? )*
        }

        impl AccessOptions {
            /// What `asked` says of them; `load` has its values.
            pub(super) fn of(asked: &RegionAsked, load: &Load) -> Self {
                Self {
                    $( $( #[cfg_attr(false, $region)] $field: asked.says($name).then_some(load.$field), )? )*
                }
            }

            /// The load as the region has it, at the whole rate.
            #[must_use]
            pub fn on(self, load: Load) -> Load {
                Load {
                    $( $( #[cfg_attr(false, $region)] $field: self.$field.unwrap_or(load.$field), )? )*
                    ..load
                }
            }
        }
    };
}
parameters!(access);

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
    /// The CPUs its writers are pinned to, in turn; empty for all there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
    /// The units of work that its writers compute in a second, all together; absent where it is memory to visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute: Option<u32>,
    /// What its visits do whatever the load says.
    #[serde(flatten)]
    pub access: AccessOptions,
}

/// What one writer has of every load of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionShare {
    access: AccessOptions,
    /// The units of work of a second; none where the region is memory.
    compute: Option<u32>,
    /// The shares of the regions before its own, of those with its own, and of all.
    shares: [u64; 3],
    /// Which region, from 0.
    pub region: usize,
    /// Which writer of its region, from 0.
    pub writer: u32,
    /// How many the region has.
    pub writers: u32,
}

impl RegionShare {
    /// Of writer number `writer` of all `regions` or, where there are none, of `writers`.
    pub(super) fn of(regions: &[PlannedRegion], writer: u32, writers: u32) -> Self {
        let all: u64 = regions.iter().map(|region| u64::from(region.share)).sum();
        let (mut before, mut first) = (0, 0);
        for (index, region) in regions.iter().enumerate() {
            let with = before + u64::from(region.share);
            if writer - first < region.threads {
                let (access, compute, shares) = (region.access, region.compute, [before, with, all.max(1)]);
                let (writer, writers) = (writer - first, region.threads);
                return Self { access, compute, shares, region: index, writer, writers };
            }
            (before, first) = (with, first + region.threads);
        }
        Self {
            access: AccessOptions::default(),
            compute: None,
            shares: [0, 1, 1],
            region: 0,
            writer,
            writers,
        }
    }

    /// Whether its visits are units of work that touch no memory.
    pub const fn computes(&self) -> bool {
        self.compute.is_some()
    }

    /// Whether any load visits the region.
    pub const fn is_visited(&self) -> bool {
        let [before, with, _] = self.shares;
        with > before
    }

    /// What of `load` the writers of the region do together.
    ///
    /// The rates of all regions are whole pages a second and add up to the load's: a region's is off from its exact share
    /// by less than one. `max` is `max` for every region that has a share. A region that computes goes on at its own rate, of
    /// units at a constant pace, whatever the load's is.
    #[must_use]
    pub fn load(&self, load: &Load) -> Load {
        if let Some(units) = self.compute {
            let rate = Rate::PagesPerSecond(u64::from(units));
            return Load { rate, ramp: None, pace: PaceSpec::Constant, reads: Share::default(), ..*load };
        }
        let [before, with, all] = self.shares;
        let part = |rate| match rate {
            Rate::Max if with > before => Rate::Max,
            Rate::Max => Rate::PagesPerSecond(0),
            Rate::PagesPerSecond(rate) => Rate::PagesPerSecond(rate * with / all - rate * before / all),
        };
        let mut load = self.access.on(*load);
        load.rate = part(load.rate);
        if let Some(ramp) = &mut load.ramp {
            ramp.from = part(ramp.from);
        }
        let is_level = load.ramp.is_some_and(|ramp| ramp.from == load.rate);
        Load { ramp: load.ramp.filter(|_| !is_level), ..load }
    }
}

/// What does not go together in `load` as regions have it, and is no fault of the load itself.
pub(super) fn access_faults<'a>(
    regions: impl Iterator<Item = (&'a str, AccessOptions)>,
    load: &Load,
) -> Vec<Fault> {
    let own = load.faults();
    let mut faults = Vec::new();
    for (name, access) in regions {
        for fault in access.on(*load).faults() {
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
