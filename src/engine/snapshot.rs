//! All counts at one moment, and the records that two such moments make.

mod by_cpu;
mod by_region;
mod due;

use super::{
    canary::Canary,
    course::{Asked, Course},
    diagnosis::Diagnosis,
    writer::Writer,
};
use crate::{
    diagnose::TimeByClass,
    histogram::Counts,
    plan::{Checked, Load, PlannedRegion},
    probe::process_cpu_ns,
    record::{
        End, EndReason, GapSummary, Interval, Latency, SelfCost, Status, Throttle, Totals, is_resolved,
    },
    tally::{GapCounts, Latencies, StampCounts},
};
use by_cpu::CpuCounts;
use by_region::RegionCounts;
use due::Due;

/// All counts at one moment, cumulative since the engine was started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// CLOCK_MONOTONIC.
    pub at_ns: u64,
    /// When the schedule began; none before the gate is open.
    t0_ns: Option<u64>,
    /// When it was taken, in intervals.
    epoch: u32,
    writes: u64,
    reads: u64,
    /// What stamps told; none without them.
    stamps: Option<StampCounts>,
    latencies: Latencies,
    /// What became of the visits due so far, all writers together. Without a schedule those due are those done.
    due: Due,
    asked: Asked,
    open_ns: Option<u64>,
    /// None without canaries.
    gaps: Option<GapCounts>,
    steal_ms: Option<u64>,
    callbacks: Option<u64>,
    own_cpu_ns: u64,
    /// Of the gaps taken so far.
    lost: TimeByClass,
    /// Region by region, in the order of the plan; empty where there is one.
    regions: Vec<RegionCounts>,
    /// Canary by canary; empty where there is one at most.
    cpus: Vec<CpuCounts>,
    throttle: Option<Throttle>,
    /// Of the interval that ends with it, where that was counted.
    own_pages_dirtied: Option<u64>,
    /// The steps of the clock that stamps.
    clock_step_ns: u64,
}

/// What a snapshot is taken of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'a> {
    /// The interval that begins with the snapshot.
    pub(super) epoch: u32,
    pub(super) plan: &'a Checked,
    /// Which load was in force when; none before the gate is open.
    pub(super) course: Option<&'a Course>,
    /// When the schedule began; none before the gate is open.
    pub(super) t0_ns: Option<u64>,
    pub(super) writers: &'a [Writer],
    pub(super) canaries: &'a [Canary],
    pub(super) diagnosis: &'a Diagnosis,
    /// As of the last look at the gaps; none where the kernel does not count steal.
    pub(super) steal_ms: Option<u64>,
    /// Callbacks of the hypervisor since boot, as far as they were looked at.
    pub(super) callbacks: Option<u64>,
    /// Of the interval that ends with the snapshot, where that was counted.
    pub(super) own_pages_dirtied: Option<u64>,
    /// The steps of the clock that stamps.
    pub(super) clock_step_ns: u64,
}

/// Loads everything once, for the time `at_ns`, which is now or just past. What is counted meanwhile may or may not
/// be in it, and then is in the next. It is expected to hold about as much as `last`.
pub(super) fn take(sources: &Sources<'_>, at_ns: u64, last: &Snapshot) -> Snapshot {
    let visited = Visited::by(sources, at_ns, last);
    let tallies = sources.canaries.iter().map(|canary| &*canary.tally);
    let none = GapCounts::default();
    let like = last.gaps.as_ref().unwrap_or(&none);
    let gaps = (!sources.canaries.is_empty()).then(|| GapCounts::of(tallies, like));
    // The writers first: what they take in between must not make our own share negative.
    let writers_cpu_ns: u64 = sources.writers.iter().map(Writer::cpu_ns).sum();
    let own_cpu_ns = process_cpu_ns().saturating_sub(writers_cpu_ns);
    let (epoch, t0_ns) = (sources.epoch, sources.t0_ns);
    let asked = sources.course.map_or_else(Asked::default, |course| course.asked_by(at_ns));
    Snapshot {
        at_ns,
        t0_ns,
        epoch,
        writes: visited.writes,
        reads: visited.reads,
        stamps: visited.stamps,
        latencies: visited.latencies,
        due: visited.due,
        asked,
        open_ns: visited.open_ns,
        gaps,
        steal_ms: sources.steal_ms,
        callbacks: sources.callbacks,
        own_cpu_ns,
        lost: sources.diagnosis.time(),
        regions: visited.regions,
        cpus: of_cpus(sources),
        throttle: sources.diagnosis.throttle(),
        own_pages_dirtied: sources.own_pages_dirtied,
        clock_step_ns: sources.clock_step_ns,
    }
}

/// What writers have counted so far, all of them together and region by region.
#[derive(Default)]
struct Visited {
    writes: u64,
    reads: u64,
    due: Due,
    open_ns: Option<u64>,
    stamps: Option<StampCounts>,
    latencies: Latencies,
    regions: Vec<RegionCounts>,
}

impl Visited {
    fn by(sources: &Sources<'_>, at_ns: u64, last: &Snapshot) -> Self {
        let plan = sources.plan;
        // What a region computes is no visit of a page: it is counted with its region alone.
        let is_page = |index: u32| !plan.region_share(index).computes();
        let pages = sources.writers.iter().zip(0..).filter(|(_, index)| is_page(*index));
        let latencies = Latencies::of(pages.map(|(writer, _)| &*writer.tally), &last.latencies);
        let (stamps, regions) = (plan.verify.then(StampCounts::default), of_regions(sources, last));
        let mut sums = Self { stamps, latencies, regions, ..Self::default() };
        for (writer, index) in sources.writers.iter().zip(0u32..) {
            sums.add(sources, (writer, index), at_ns);
        }
        sums
    }

    fn add(&mut self, sources: &Sources<'_>, (writer, index): (&Writer, u32), at_ns: u64) {
        let share = sources.plan.region_share(index);
        // Before the counts: a load taken up in between then counts as one that was not.
        let offered = sources
            .course
            .map_or(0, |course| course.offered(sources.plan, index, writer.status.taken_up(), at_ns));
        let mut counts = writer.tally.counts();
        if let Some((sum, own)) = self.stamps.as_mut().zip(writer.stamps.as_ref()) {
            // Stamps know to the visit what was written when the interval ended, however long the reading takes.
            let own = own.counts(sources.epoch);
            counts.writes = own.writes();
            sum.add(&own);
        }
        let due = Due::new(offered, counts.writes + counts.reads, counts.missed);
        if let Some(region) = self.regions.get_mut(share.region) {
            region.writes += counts.writes;
            region.reads += counts.reads;
            region.due.add(due);
        }
        if share.computes() {
            return;
        }
        self.due.add(due);
        let open = counts.open_since_ns.map(|since_ns| at_ns.saturating_sub(since_ns));
        self.open_ns = self.open_ns.max(open.filter(|open_ns| is_resolved(*open_ns, sources.clock_step_ns)));
        self.writes += counts.writes;
        self.reads += counts.reads;
    }
}

/// How long visits took in each region; the other counts are yet to come. Empty where there is one region.
fn of_regions(sources: &Sources<'_>, last: &Snapshot) -> Vec<RegionCounts> {
    let (regions, none) = (&sources.plan.regions, RegionCounts::default());
    if regions.len() < 2 {
        return Vec::new();
    }
    let (mut first, likes) = (0, last.regions.iter().chain(std::iter::repeat(&none)));
    let of = |(region, like): (&PlannedRegion, &RegionCounts)| {
        let writers = sources.writers.iter().skip(first).take(region.threads as usize);
        first += region.threads as usize;
        let latencies = Latencies::of(writers.map(|writer| &*writer.tally), &like.latencies);
        RegionCounts { latencies, ..RegionCounts::default() }
    };
    regions.iter().zip(likes).map(of).collect()
}

/// What each canary counted; empty where there is one at most.
fn of_cpus(sources: &Sources<'_>) -> Vec<CpuCounts> {
    let canaries = sources.canaries.iter().filter(|_| sources.canaries.len() > 1);
    let of = |canary: &Canary| CpuCounts {
        cpu: canary.cpu,
        gap_ns: canary.tally.total_ns(),
        lost: sources.diagnosis.time_of(canary.cpu),
    };
    canaries.map(of).collect()
}

impl Snapshot {
    /// What a host is told that asks what is going on, after the interval since `earlier`; load and pause are the desk's
    /// to say.
    pub fn status(&self, earlier: &Self, phase: &str, load: Load, sweeps: u32) -> Status {
        let (writes, span_ns) =
            (self.writes.saturating_sub(earlier.writes), self.at_ns.saturating_sub(earlier.at_ns));
        let per_s = (u128::from(writes) * 1_000_000_000).checked_div(u128::from(span_ns));
        Status {
            phase: phase.into(),
            paused: false,
            load,
            writes: self.writes,
            reads: self.reads,
            missed: self.due.missed,
            backlog: self.due.backlog,
            achieved_pages_per_s: per_s.and_then(|rate| u64::try_from(rate).ok()),
            corrupt_pages: self.stamps.map(|stamps| stamps.corruptions.sum()),
            sweeps,
        }
    }

    /// Page visits done so far that wrote.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// What happened since `earlier`, an older snapshot of the same engine.
    pub fn interval_since(&self, earlier: &Self, plan: &Checked, phase: &str) -> Interval {
        let (service, response) = self.latencies_since(earlier);
        let asked = self.asked.since(&earlier.asked);
        let due = |count: fn(&Due) -> u64| asked.is_scheduled().then(|| self.due_since(earlier, count));
        let (cpus, cpus_left_out) = by_cpu::since(&self.cpus, &earlier.cpus);
        let told_of = (asked.is_scheduled(), self.clock_step_ns.max(earlier.clock_step_ns));
        Interval {
            phase: phase.to_owned(),
            start_ns: earlier.at_ns,
            end_ns: self.at_ns,
            writes: self.writes.saturating_sub(earlier.writes),
            reads: self.reads.saturating_sub(earlier.reads),
            pages_unique: self.unique_since(earlier, plan),
            offered: due(|due| due.offered),
            missed: due(|due| due.missed),
            backlog: asked.is_scheduled().then_some(self.due.backlog),
            target_pages_per_s: asked.pages_per_s(),
            service_ns: service.0,
            response_ns: response.0,
            service_hist: service.1,
            response_hist: response.1,
            open_ns: self.open_ns,
            gaps: self.gaps_since(earlier),
            steal_ms: self.steal_ms.zip(earlier.steal_ms).map(|(now, then)| now.saturating_sub(then)),
            callbacks: self.callbacks.zip(earlier.callbacks).map(|(now, then)| now.saturating_sub(then)),
            stall_ms: self.gaps.is_some().then(|| self.lost.named_ms_since(&earlier.lost)),
            throttle: self.throttle,
            regions: by_region::since(&plan.regions, (&self.regions, &earlier.regions), told_of),
            cpus,
            cpus_left_out,
            self_cost: SelfCost {
                cpu_ns: self.own_cpu_since(earlier),
                pages_dirtied: self.own_pages_dirtied.filter(|_| self.is_next_after(earlier)),
            },
        }
    }

    /// The sums from `t0` on, an older snapshot of the same engine, best from just before the gate was opened: a
    /// later one cuts off what was done until then. `records_dropped` are those the caller gave up;
    /// gap records that found no room in the engine are added to them.
    pub fn end(&self, t0: &Self, reason: EndReason, detail: Option<String>, records_dropped: u64) -> End {
        let (service, response) = self.latencies_since(t0);
        let is_scheduled = self.asked.since(&t0.asked).is_scheduled();
        let due = |count: fn(&Due) -> u64| is_scheduled.then(|| self.due_since(t0, count));
        // A snapshot from before the gate was opened is as good: nothing was due or done until then.
        let begin_ns = self.t0_ns.map_or(t0.at_ns, |t0_ns| t0_ns.max(t0.at_ns));
        let dropped = |of: &Self| of.gaps.as_ref().map_or(0, GapCounts::records_dropped);
        let lost_gaps = dropped(self).saturating_sub(dropped(t0));
        End {
            reason,
            detail,
            totals: Totals {
                elapsed_ns: self.at_ns.saturating_sub(begin_ns),
                writes: self.writes.saturating_sub(t0.writes),
                reads: self.reads.saturating_sub(t0.reads),
                offered: due(|due| due.offered),
                missed: due(|due| due.missed),
                backlog: is_scheduled.then_some(self.due.backlog),
                gaps: self.gaps_since(t0),
                corruptions: self.stamps.map(|stamps| stamps.corruptions),
                pages_swept: self.stamps.map(|stamps| stamps.swept),
                self_cpu_ns: self.own_cpu_since(t0),
            },
            service_ns: service.0,
            response_ns: response.0,
            service_hist: service.1,
            response_hist: response.1,
            records_dropped: records_dropped.saturating_add(lost_gaps),
        }
    }

    /// Different pages written since the snapshot just before this one: those met for the first time in their epoch.
    fn unique_since(&self, earlier: &Self, plan: &Checked) -> Option<u64> {
        let (now, then) = (self.stamps?, earlier.stamps?);
        let firsts = now.firsts.saturating_sub(then.firsts);
        // Over several epochs a page may have been met for the first time in each of them; visits that leave the stamp as
        // it was cannot tell.
        (self.is_next_after(earlier) && now.kept == then.kept).then(|| firsts.min(plan.pages().0))
    }

    fn is_next_after(&self, earlier: &Self) -> bool {
        self.epoch.wrapping_sub(earlier.epoch) == 1
    }

    /// Of service and of response, each in short and packed. One after the other: they take the same memory.
    fn latencies_since(&self, earlier: &Self) -> ((Latency, String), (Latency, String)) {
        let step_ns = self.clock_step_ns.max(earlier.clock_step_ns);
        let of = |now: &Counts, then: &Counts| {
            let fresh = now.since(then);
            (Latency::of(&fresh, step_ns), fresh.pack())
        };
        let (now, then) = (&self.latencies, &earlier.latencies);
        (of(&now.service, &then.service), of(&now.response, &then.response))
    }

    fn due_since(&self, earlier: &Self, count: fn(&Due) -> u64) -> u64 {
        count(&self.due).saturating_sub(count(&earlier.due))
    }

    fn gaps_since(&self, earlier: &Self) -> Option<GapSummary> {
        let now = self.gaps.as_ref()?;
        Some(earlier.gaps.as_ref().map_or_else(|| now.since(&GapCounts::default()), |then| now.since(then)))
    }

    fn own_cpu_since(&self, earlier: &Self) -> u64 {
        self.own_cpu_ns.saturating_sub(earlier.own_cpu_ns)
    }
}

#[cfg(test)]
mod tests;
