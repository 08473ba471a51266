//! From what is asked to what will be done: every fault of a plan at once, each with its remedy.

#[cfg(feature = "host")]
use super::table::written;
use super::{
    AccessOptions, Backing, BacklogPolicy, CanaryPeriod, ClockChoice, ContentSpec, CpuList, Fault, Faults,
    Load, Machine, MemoryKind, PaceSpec, PatternSpec, Plan, PlannedPhase, PlannedRegion, RegionShare,
    dedup_fault, parts, phase, region, room, table::parameters, tables::Tables,
};
use crate::units::{ByteSize, Nanos, PAGE_BYTES, PageCount, Rate, Share};
use serde::{Deserialize, Serialize};

macro_rules! checked {
    (
        amount $amount:tt
        kind { $(
            #[doc = $kind_doc:tt] $kind:ident $kind_name:tt: $kind_type:ty = $kind_usual:expr,
            [$(by $kind_read:expr,)? $(as $kind_write:ident,)?] $kind_where:tt $kind_column:tt
        )* }
        load { $(
            #[doc = $load_doc:tt] $load:ident $load_name:tt: $load_type:ty = $load_usual:expr,
            [$(by $load_read:expr,)? $(as $load_write:ident,)?]
            [$(hello $load_hello:meta,)? $(load $load_older:meta,)? $(in $load_phase:ident,)? $(own $load_region:ident,)?]
            $load_column:tt
        )* }
        run { $(
            #[doc = $doc:tt] $field:ident $name:tt: $type:ty = $usual:expr,
            [$(by $read:expr,)? $(as $write:ident,)?] [$(hello $hello:meta,)?] $column:tt
        )* }
        resolved $resolved:tt
    ) => {
        /// A plan that can be carried out, every value resolved. `hello` echoes it.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
        pub struct Checked {
            /// Memory to dirty, whole pages, of all regions.
            pub memory_bytes: u64,
            /// What kind of memory, where regions do not say another.
            #[serde(default, flatten)]
            pub kind: MemoryKind,
            $( #[doc = $load_doc] $(#[$load_hello])? pub $load: $load_type, )*
            /// The rate in page visits a second; absent for `max`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub target_pages_per_s: Option<u64>,
            $( #[doc = $doc] $(#[$hello])? pub $field: $type, )*
            /// Writers.
            pub threads: u32,
            /// The CPUs they are pinned to, in turn; empty for all there are, and where regions say theirs.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub cpus: Vec<u32>,
            /// How long to run; absent means until told to stop.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub duration_ns: Option<u64>,
            /// The unperturbed time at the start.
            pub baseline_ns: u64,
            /// The length of one interval.
            pub interval_ns: u64,
            /// The phases after the baseline, in order.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub phases: Vec<PlannedPhase>,
            /// The regions, in the order of their pages and writers; empty for one without a name, of all the memory.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub regions: Vec<PlannedRegion>,
        }

        impl Checked {
            /// `plan` with what became of it: its phases, and its regions, of which there is at least one.
            fn of(plan: &Plan, phases: Vec<PlannedPhase>, regions: Vec<PlannedRegion>) -> Self {
                Self {
                    memory_bytes: regions.iter().map(|region| region.memory_bytes).sum(),
                    kind: plan.kind.clone(),
                    $( $load: plan.$load, )*
                    target_pages_per_s: plan.rate.pages_per_s(),
                    $( $field: plan.$field, )*
                    threads: regions.iter().map(|region| region.threads).sum(),
                    cpus: plan.cpus.as_ref().map(|cpus| cpus.numbers().to_vec()).unwrap_or_default(),
                    duration_ns: plan.duration.map(|span| span.0),
                    baseline_ns: plan.baseline.0,
                    interval_ns: plan.interval.0,
                    phases,
                    regions: if plan.regions.is_empty() { Vec::new() } else { regions },
                }
            }

            /// The load at the top of the plan: what a run without phases does.
            pub const fn load(&self) -> Load {
                Load { $( $load: self.$load, )* ramp: None }
            }

            /// The value of the parameter called `name`, as a plan file may say it; none for what is said by leaving it out, and
            /// for what a plan is given otherwise than it is carried out.
            #[cfg(feature = "host")]
            pub fn text(&self, name: &str) -> Option<String> {
                match name {
                    $( $kind_name => written!(self.kind.$kind $(, $kind_write)?), )*
                    $( $load_name => written!(self.$load $(, $load_write)?), )*
                    $( $name => written!(self.$field $(, $write)?), )*
                    _ => None,
                }
            }
        }
    };
}
parameters!(checked);

impl Checked {
    /// What is spared for small things: where they find no room the program is aborted, and says nothing.
    pub const SPARE_BYTES: u64 = 4 << 20;

    /// The pages of all writers together.
    pub fn pages(&self) -> PageCount {
        PageCount::in_bytes(self.memory_bytes)
    }

    /// The load that the run begins with: the first phase's where there are phases, as it is before any ramp; none as long as
    /// [`Self::dirty`] has everything held still.
    pub fn first_load(&self) -> Load {
        let load = self.held_load();
        if self.dirty.is_some() { load.paused() } else { load }
    }

    /// The same without regard to [`Self::dirty`]: what a host's `resume` goes on with.
    pub fn held_load(&self) -> Load {
        self.phases.first().map_or_else(|| self.load(), |phase| phase.load.beginning())
    }

    /// The pages of regions that are visited at all.
    pub fn visited_pages(&self) -> PageCount {
        let visited = self.areas().into_iter().filter(|area| area.share > 0);
        PageCount::in_bytes(visited.map(|area| area.memory_bytes).sum())
    }

    /// Why not exactly so many different pages can be dirtied, and what can be.
    pub fn dirty_fault(&self, pages: u64) -> Option<String> {
        let most = self.visited_pages().0;
        (pages == 0 || pages > most).then(|| {
            let size = ByteSize(PageCount(most).bytes());
            format!(
                "{pages} pages cannot be dirtied: expected 1 to {most}, which is all that is visited ({size})"
            )
        })
    }

    /// What writer number `writer` has of every load.
    pub fn region_share(&self, writer: u32) -> RegionShare {
        RegionShare::of(&self.regions, writer, self.threads)
    }

    /// The CPU that each writer is pinned to, where the program may run on `cpus`: those of its region in turn, or of all.
    pub fn writer_cpus(&self, cpus: &[u32]) -> Vec<u32> {
        // Over all regions, so that two of them do not begin on the same CPU.
        let mut all = cpus.iter().copied().cycle();
        let of = |area: PlannedRegion| -> Vec<u32> {
            let own = all.by_ref().take(area.threads as usize).collect();
            if area.cpus.is_empty() {
                own
            } else {
                area.cpus.iter().copied().cycle().take(own.len()).collect()
            }
        };
        self.areas().into_iter().flat_map(of).collect()
    }

    /// What is mapped: the regions, or one without a name where the plan names none.
    pub fn areas(&self) -> Vec<PlannedRegion> {
        if !self.regions.is_empty() {
            return self.regions.clone();
        }
        vec![PlannedRegion {
            name: String::new(),
            memory_bytes: self.memory_bytes,
            kind: self.kind.clone(),
            threads: self.threads,
            share: 1,
            cpus: self.cpus.clone(),
            compute: None,
            access: AccessOptions::default(),
        }]
    }

    /// What the run takes of ordinary private memory, with a canary on each of `cpus`: its regions of that kind, tables and
    /// stacks, and [`Self::SPARE_BYTES`] for all else.
    pub fn private_bytes(&self, cpus: u32) -> u64 {
        let mut cpus = Some(self.canary.of(cpus));
        let of = |area: PlannedRegion| {
            let is_private = area.kind.backing == Backing::Anon && !area.kind.pages.is_pooled();
            // The canaries are there once.
            let canaries = cpus.take().unwrap_or(0);
            let stamped = self.verify && area.compute.is_none();
            let tables =
                Tables::of(stamped, area.kind.pages, area.threads, canaries).bytes(area.memory_bytes);
            tables.saturating_add(if is_private { area.memory_bytes } else { 0 })
        };
        self.areas().into_iter().map(of).fold(Self::SPARE_BYTES, u64::saturating_add)
    }

    /// What does not go together in `load`, in the plan's regions too: every fault, each with its remedy.
    pub fn load_faults(&self, load: &Load) -> Vec<Fault> {
        let mut faults = load.faults();
        faults.extend(region::access_faults(
            self.regions.iter().map(|region| (&*region.name, region.access)),
            load,
        ));
        faults
    }
}

#[cfg(feature = "host")]
impl Plan {
    /// What does not go together in what a visit does: every fault, each with its remedy.
    pub fn visit_faults(&self) -> Vec<Fault> {
        let mut faults = self.load().visit_faults();
        faults.extend(dedup_fault(self.dedup, self.verify));
        faults
    }
}

/// The shortest interval that is worth a record.
const INTERVAL_FLOOR: Nanos = Nanos::from_ms(20);
/// The longest interval: an hour.
const INTERVAL_CEILING: Nanos = Nanos::from_secs(3600);
/// Beyond one writer a page there is nothing to do; this bounds what the writers' own tables take.
pub(super) const THREADS_CEILING: u32 = 1024;

/// Turns what is asked into what will be done on this machine.
///
/// # Errors
/// Every fault of the plan, each with its remedy.
pub fn check(plan: &Plan, machine: &Machine) -> Result<Checked, Faults> {
    let mut faults = Vec::new();
    let regions = regions(plan, machine, &mut faults);
    times(plan, &mut faults);
    faults.extend(plan.load().faults());
    faults.extend(dedup_fault(plan.dedup, plan.verify));
    let phases = phase::planned(&plan.phases, &plan.load(), &mut faults);
    let access = || regions.iter().map(|region| (&*region.name, region.access));
    let own = region::access_faults(access(), &plan.load());
    for PlannedPhase { name, load, .. } in &phases {
        let fresh = region::access_faults(access(), load).into_iter().filter(|fault| !own.contains(fault));
        faults.extend(fresh.map(|fault| Fault {
            what: format!("phase '{}', {}", name.escape_debug(), fault.what),
            ..fault
        }));
    }
    faults.extend(own);
    if plan.repeat && (phases.is_empty() || phases.iter().any(|phase| phase.duration_ns.is_none())) {
        faults.push(Fault {
            what: "repeat = true needs phases, each with a duration".into(),
            remedy: "give each [[phase]] a duration, or leave repeat out".into(),
        });
    }
    let checked = Checked::of(plan, phases, regions);
    // Memory that is not there has been told of already.
    if let Some(dirty) = plan.dirty.filter(|_| faults.is_empty()) {
        faults.extend(dirty_fault(&checked, dirty));
    }
    if faults.is_empty() { Ok(checked) } else { Err(Faults(faults)) }
}

/// What is wrong with the size that is to be dirtied first.
fn dirty_fault(checked: &Checked, dirty: ByteSize) -> Option<Fault> {
    let most = ByteSize(checked.visited_pages().bytes());
    if dirty.0 <= most.0 && !dirty.0.is_multiple_of(PAGE_BYTES) {
        let whole = ByteSize(dirty.0.next_multiple_of(PAGE_BYTES));
        return Some(Fault {
            what: format!("--dirty {dirty} is no whole number of pages of {PAGE_BYTES} bytes"),
            remedy: format!("give whole pages, for example --dirty {whole}"),
        });
    }
    let why = checked.dirty_fault(dirty.0.div_ceil(PAGE_BYTES))?;
    Some(Fault {
        what: format!("--dirty {dirty}: {why}"),
        remedy: match dirty.0 {
            0 => "leave --dirty out to begin with the load".into(),
            _ => format!("give at most --dirty {most}, or more memory to visit"),
        },
    })
}

/// The regions as they will be, each held against what those before it leave of the machine. A plan that names none has
/// one.
fn regions(plan: &Plan, machine: &Machine, faults: &mut Vec<Fault>) -> Vec<PlannedRegion> {
    parts::check(plan, faults);
    let mut left = machine.clone();
    let mut regions = Vec::new();
    for (index, (prefix, part)) in plan.parts().iter().enumerate() {
        let (asked, cpus) = (plan.regions.get(index), part.cpus.as_ref().map(CpuList::numbers));
        let compute = asked.and_then(|asked| asked.compute);
        let threads = part.writers(machine);
        let mut memory_bytes = 0;
        if compute.is_none() {
            memory_bytes = room::memory((prefix, part), (machine, &left), threads, faults);
        }
        room::take(&mut left, part, memory_bytes, threads);
        // The canaries are there once.
        left.cpus = 0;
        regions.push(PlannedRegion {
            name: asked.map(|asked| asked.name.clone()).unwrap_or_default(),
            memory_bytes,
            kind: part.kind.clone(),
            threads,
            share: asked.and_then(|asked| asked.share).unwrap_or(u32::from(compute.is_none())),
            cpus: cpus.unwrap_or_default().to_vec(),
            compute,
            access: asked.map(|asked| AccessOptions::of(asked, &part.load())).unwrap_or_default(),
        });
    }
    let all = regions.iter().map(|region| u64::from(region.threads)).sum::<u64>();
    if all > u64::from(THREADS_CEILING) || regions.iter().any(|region| region.threads == 0) {
        faults.push(Fault {
            what: format!("--threads {all} cannot be: there are 1 to {THREADS_CEILING} writers"),
            remedy: format!("leave --threads out for one writer per vCPU ({} here)", machine.cpus),
        });
    }
    regions
}

/// What to say of more writers than CPUs that they are on, `are_named` or all there are; none where there are not.
pub fn crowded(threads: u32, cpus: u32, are_named: bool) -> Option<String> {
    let remedy = if are_named {
        "give fewer threads, or name more cpus"
    } else {
        "leave --threads out for one writer per vCPU"
    };
    (threads > cpus).then(|| {
        let cpus = if cpus == 1 { "1 CPU".into() } else { format!("{cpus} CPUs") };
        format!(
            "{threads} writers share {cpus}: they wait for each other, and that counts as latency\n{remedy}"
        )
    })
}

fn times(plan: &Plan, faults: &mut Vec<Fault>) {
    if plan.interval < INTERVAL_FLOOR || plan.interval > INTERVAL_CEILING {
        faults.push(Fault {
            what: format!("--interval {} is outside {INTERVAL_FLOOR} to {INTERVAL_CEILING}", plan.interval),
            remedy: "use --interval 100ms for a fine resolution, 1s for a small report".into(),
        });
    }
    if plan.duration.is_some_and(|duration| duration.0 == 0) {
        faults.push(Fault {
            what: "--duration 0s would end before it began".into(),
            remedy: "leave --duration out to run until stopped, or give a time such as 10s".into(),
        });
    }
}

#[cfg(test)]
mod tests;
