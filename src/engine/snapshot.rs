//! All counts at one moment, and the records that two such moments make.

use super::{canary::Canary, writer::Writer};
use crate::{
    diagnose::Budget,
    histogram::Counts,
    pace::{Part, Schedule},
    plan::Checked,
    probe::{StealProbe, process_cpu_ns},
    record::{End, EndReason, Interval, Latency, LongSums, SelfCost, Throttle, Totals},
    tally::{GapCounts, StampCounts},
};

/// All counts at one moment, cumulative since the engine was started.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    service: Counts,
    response: Counts,
    /// What became of the visits due so far, all writers together; none without a schedule.
    due: Option<Due>,
    open_ns: Option<u64>,
    gaps: GapCounts,
    gap_open_ns: Option<u64>,
    long: LongSums,
    /// What was lost by class; none before it was first judged.
    budget: Option<Budget>,
    throttle: Option<Throttle>,
    steal_ms: Option<u64>,
    own_cpu_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Due {
    /// Always the sum of those done, missed and in the backlog.
    offered: u64,
    missed: u64,
    backlog: u64,
}

impl Due {
    /// Of one writer.
    ///
    /// Writers run up to a batch ahead: a visit that is done counts as offered, and what one writer is ahead does not
    /// hide what another is behind.
    fn new(offered: u64, done: u64, missed: u64) -> Self {
        let past = done.saturating_add(missed);
        let offered = offered.max(past);
        Self { offered, missed, backlog: offered - past }
    }

    fn add(&mut self, other: Self) {
        self.offered += other.offered;
        self.missed += other.missed;
        self.backlog += other.backlog;
    }
}

/// What a snapshot is taken of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'a> {
    /// The interval that begins with the snapshot.
    pub(super) epoch: u32,
    pub(super) plan: &'a Checked,
    /// When the schedule began; none before the gate is open.
    pub(super) t0_ns: Option<u64>,
    pub(super) writers: &'a [Writer],
    pub(super) canaries: &'a [Canary],
    /// None where the kernel does not count steal.
    pub(super) steal: Option<&'a StealProbe>,
}

/// Loads everything once, for the time `at_ns`, which is now or just past. What is counted meanwhile may or may not
/// be in it, and then is in the next.
pub(super) fn take(sources: &Sources<'_>, at_ns: u64) -> Snapshot {
    // Before the histograms: a visit in between then counts as one of a page not met before, and not as one too few.
    let stamps = stamps(sources);
    let (mut service, mut response) = (Counts::default(), Counts::default());
    let (mut writes, mut reads) = (0u64, 0u64);
    let mut due = sources.plan.rate.pages_per_s().map(|_| Due::default());
    let mut open_ns: Option<u64> = None;
    let mut long = LongSums::default();
    for (writer, index) in sources.writers.iter().zip(0u32..) {
        let counts = writer.tally.counts();
        if let Some(due) = &mut due {
            due.add(Due::new(offered(sources, index, at_ns), counts.writes + counts.reads, counts.missed));
        }
        let open = counts.open_since_ns.map(|since_ns| at_ns.saturating_sub(since_ns));
        open_ns = open_ns.max(open.filter(|open_ns| *open_ns > 0));
        let (count, total_ns) = writer.tally.long.sums();
        long = LongSums { count: long.count + count, total_ns: long.total_ns.saturating_add(total_ns) };
        writes += counts.writes;
        reads += counts.reads;
        service.add(&counts.service);
        response.add(&counts.response);
    }
    let mut gaps = GapCounts::default();
    sources.canaries.iter().for_each(|canary| gaps.add(&canary.tally.counts()));
    let gap_open_ns = sources.canaries.iter().filter_map(|canary| canary.tally.overdue_ns(at_ns)).max();
    let steal_ms = sources.steal.and_then(StealProbe::read_ms);
    // The writers first: what they take in between must not make our own share negative.
    let writers_cpu_ns: u64 = sources.writers.iter().map(Writer::cpu_ns).sum();
    let own_cpu_ns = process_cpu_ns().saturating_sub(writers_cpu_ns);
    let (epoch, t0_ns) = (sources.epoch, sources.t0_ns);
    Snapshot {
        at_ns,
        t0_ns,
        epoch,
        writes,
        reads,
        stamps,
        service,
        response,
        due,
        open_ns,
        gaps,
        gap_open_ns,
        long,
        budget: None,
        throttle: None,
        steal_ms,
        own_cpu_ns,
    }
}

fn stamps(sources: &Sources<'_>) -> Option<StampCounts> {
    sources.plan.verify.then(|| {
        let mut sum = StampCounts::default();
        let tallies = sources.writers.iter().filter_map(|writer| writer.stamps.as_ref());
        tallies.for_each(|tally| sum.add(&tally.counts()));
        sum
    })
}

fn offered(sources: &Sources<'_>, index: u32, at_ns: u64) -> u64 {
    let schedule = sources.t0_ns.and_then(|t0_ns| Schedule::new(t0_ns, &Part::of(sources.plan, index)));
    schedule.map_or(0, |schedule| schedule.offered(at_ns))
}

impl Snapshot {
    /// Page visits done so far that wrote.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// The same with what was found of whose fault the gaps so far were.
    #[must_use]
    pub fn diagnosed(self, budget: &Budget, throttle: Option<Throttle>) -> Self {
        Self { budget: Some(budget.clone()), throttle, ..self }
    }

    /// What happened since `earlier`, an older snapshot of the same engine.
    pub fn interval_since(&self, earlier: &Self, plan: &Checked, phase: &str) -> Interval {
        let service = self.service.since(&earlier.service);
        let response = self.response.since(&earlier.response);
        Interval {
            phase: phase.to_owned(),
            start_ns: earlier.at_ns,
            end_ns: self.at_ns,
            writes: self.writes.saturating_sub(earlier.writes),
            reads: self.reads.saturating_sub(earlier.reads),
            pages_unique: self.unique_since(earlier, plan),
            offered: self.due_since(earlier, |due| due.offered),
            missed: self.due_since(earlier, |due| due.missed),
            backlog: self.due.map(|due| due.backlog),
            target_pages_per_s: plan.target_pages_per_s,
            service_ns: Latency::from(&service),
            response_ns: Latency::from(&response),
            service_hist: service.pack(),
            response_hist: response.pack(),
            open_ns: self.open_ns,
            gaps: Some(self.gaps.since(&earlier.gaps)),
            gap_open_ns: self.gap_open_ns,
            long_visits: plan.latency.then(|| LongSums {
                count: self.long.count.saturating_sub(earlier.long.count),
                total_ns: self.long.total_ns.saturating_sub(earlier.long.total_ns),
            }),
            stall_ms: self.budget.as_ref().map(|budget| {
                earlier
                    .budget
                    .as_ref()
                    .map_or_else(|| budget.since(&Budget::default()), |then| budget.since(then))
            }),
            throttle: self.throttle,
            steal_ms: self.steal_ms.zip(earlier.steal_ms).map(|(now, then)| now.saturating_sub(then)),
            self_cost: SelfCost { cpu_ns: self.own_cpu_since(earlier), pages_dirtied: None },
        }
    }

    /// The sums from `t0` on, an older snapshot of the same engine, best from just before the gate was opened: a
    /// later one cuts off what was done until then. `records_dropped` are those the caller gave up;
    /// gap records that found no room in the engine are added to them.
    pub fn end(&self, t0: &Self, reason: EndReason, detail: Option<String>, records_dropped: u64) -> End {
        let service = self.service.since(&t0.service);
        let response = self.response.since(&t0.response);
        // A snapshot from before the gate was opened is as good: nothing was due or done until then.
        let begin_ns = self.t0_ns.map_or(t0.at_ns, |t0_ns| t0_ns.max(t0.at_ns));
        let lost_gaps = self.gaps.records_dropped().saturating_sub(t0.gaps.records_dropped());
        End {
            reason,
            detail,
            totals: Totals {
                elapsed_ns: self.at_ns.saturating_sub(begin_ns),
                writes: self.writes.saturating_sub(t0.writes),
                reads: self.reads.saturating_sub(t0.reads),
                offered: self.due_since(t0, |due| due.offered),
                missed: self.due_since(t0, |due| due.missed),
                backlog: self.due.map(|due| due.backlog),
                gaps: Some(self.gaps.since(&t0.gaps)),
                corruptions: self.stamps.map(|stamps| stamps.corruptions),
                pages_swept: self.stamps.map(|stamps| stamps.swept),
                self_cpu_ns: self.own_cpu_since(t0),
            },
            service_ns: Latency::from(&service),
            response_ns: Latency::from(&response),
            service_hist: service.pack(),
            response_hist: response.pack(),
            records_dropped: records_dropped.saturating_add(lost_gaps),
        }
    }

    /// Different pages written since the snapshot just before this one: writes less those of pages met again.
    fn unique_since(&self, earlier: &Self, plan: &Checked) -> Option<u64> {
        let again = self.stamps?.repeats.saturating_sub(earlier.stamps?.repeats);
        let writes = self.writes.saturating_sub(earlier.writes);
        // Over several epochs a page may have been met for the first time in each of them.
        let is_one_epoch = self.epoch.wrapping_sub(earlier.epoch) == 1;
        is_one_epoch.then(|| writes.saturating_sub(again).min(plan.pages().0))
    }

    fn due_since(&self, earlier: &Self, count: fn(&Due) -> u64) -> Option<u64> {
        let then = count(&earlier.due.unwrap_or_default());
        self.due.map(|due| count(&due).saturating_sub(then))
    }

    fn own_cpu_since(&self, earlier: &Self) -> u64 {
        self.own_cpu_ns.saturating_sub(earlier.own_cpu_ns)
    }
}

#[cfg(test)]
mod tests;
