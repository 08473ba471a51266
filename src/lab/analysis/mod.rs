//! What a migration cost the guest, against its own baseline: each figure with what limits it, or the reason for none.
//!
//! Pure functions of a run directory; `analysis.json` holds what they find.

mod away;
mod bootstrap;
mod by_region;
mod link_share;
mod loads;
mod pooled;
mod repeats;
mod settling;
mod slowdown;
mod tax;
#[cfg(test)]
mod tests;
mod verdicts;
mod waits;
mod work;

pub use away::{Availability, CpuCost, TimeByClass};
pub use by_region::RegionCost;
pub use link_share::LinkShare;
pub use repeats::{Difference, Group, RUNS, Repeats, Spread, size as effect_size};
pub use settling::{SettledBy, Settling};
pub use slowdown::{Ratio, Slowdown};
pub use tax::Tax;
pub use waits::{Faults, Waits};
pub use work::{Against, Lost};

use crate::{
    lab::{
        rundir::RunData,
        timeline::{Axis, Guest, IntervalAt, Phase, PhaseName, Setup, Span, StageLatencies, Timeline, nanos},
    },
    record::{GapClass, MOST_CPUS},
};
use away::Away;
use bootstrap::{Draws, bounds};
use loads::Loads;
use serde::Serialize;
use settling::Usual;
use slowdown::{MISSING, Stage};
use verdicts::Judged;
use work::Work;

/// How many of the longest gaps are told one by one.
const LONGEST: usize = 10;

/// What one run cost the guest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    /// The form of this file.
    pub schema: u32,
    /// Writes a second of the baseline; null where it is not steady.
    pub baseline_pages_per_s: Option<f64>,
    /// Why nothing is compared with the baseline; null where it is.
    pub baseline_reason: Option<String>,
    /// Stage by stage, in order.
    pub stages: Vec<StageCost>,
    /// Lost work of all stages from the migration's start on; null where one of them cannot tell.
    pub lost: Option<Lost>,
    /// Why not.
    pub lost_reason: Option<String>,
    /// What it cost to begin the migration; null where QEMU did not tell of it.
    pub setup: Option<Setup>,
    /// When the load was steady again.
    pub settling: Settling,
    /// How near a load that is tied to the link came to its share; null for any other.
    pub link_share: Option<LinkShare>,
    /// Post-copy's waits; null where it was not switched to.
    pub postcopy: Option<Waits>,
    /// What the dirty log cost, pass by pass.
    pub dirty_log_tax: Vec<Tax>,
    /// The longest gaps by the host's clock, the longest first, and whose they were.
    pub longest: Vec<Longest>,
}

/// One of the longest gaps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Longest {
    /// When it was.
    #[serde(flatten)]
    pub span: Span,
    /// Which vCPU was away.
    pub cpu: u32,
    /// Whether all were.
    pub common: bool,
    /// Whose fault it was.
    pub class: GapClass,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
}

/// What one stage cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageCost {
    /// Which.
    pub name: PhaseName,
    /// Against the baseline; null for the baseline itself, for the blackout, in which nothing runs, and where intervals are missing.
    pub slowdown: Option<Slowdown>,
    /// Work lost; null for the baseline, and where it cannot be told.
    pub lost: Option<Lost>,
    /// Why it cannot be told.
    pub lost_reason: Option<String>,
    /// How long writing 1 GiB of pages takes at the rate achieved; null where nothing was written, or the load changed.
    pub ms_per_gib: Option<f64>,
    /// Why it is null.
    pub ms_per_gib_reason: Option<String>,
    /// The worst windows; empty where no canary watched.
    pub availability: Vec<Availability>,
    /// Where the vCPUs' time went; null where no canary watched, or gap records are missing.
    pub time: Option<TimeByClass>,
    /// The same for each vCPU, the first 256 of them; left out where there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<CpuCost>,
    /// Region by region, in the order of the plan; left out where there is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RegionCost>,
}

impl Analysis {
    /// The form that this version writes.
    pub const SCHEMA: u32 = 1;

    /// Works out what the run cost.
    pub fn of(data: &RunData, timeline: &Timeline) -> Self {
        #[cfg(test)]
        COMPUTED.set(COMPUTED.get() + 1);
        let axis = &timeline.axis;
        let guest = Guest::of(data, axis);
        let span = |name| timeline.phase(name).map(|phase| phase.figures.span);
        let blackouts = timeline.spans(PhaseName::Blackout);
        let loads = Loads::of(data, axis);
        let before = span(PhaseName::Baseline);
        let own = inside(&guest, before);
        let latencies = timeline.latencies(PhaseName::Baseline);
        let baseline = Stage::of(&own, &latencies.unwrap_or_default(), 0.0, guest.clock_step_ns);
        let lacks = |stage: Option<Span>| stage.is_some_and(|stage| guest.lacks_intervals(stage));
        let baseline_reason = if lacks(before) { Some(MISSING.into()) } else { baseline.halves_apart() };
        let rate = match &baseline_reason {
            Some(reason) => Err(reason.as_str()),
            None => written_per_s(&own).ok_or("the baseline wrote nothing"),
        };
        let intervals = &guest.intervals;
        let work = Work { intervals, loads: &loads, baseline: before, blackouts: &blackouts, rate };
        let watched = guest.canaries.filter(|_| !guest.gaps_dropped);
        let judged = watched.map(|canaries| verdicts::judged(data, timeline, canaries)).unwrap_or_default();
        let away = watched.map(|canaries| Away::of(&judged, timeline, canaries, &blackouts));
        let common = away.as_ref().map(Away::common);
        let costs = Costs { guest: &guest, work, baseline: &baseline, away: away.as_ref(), common };
        let stages = costs.of_all(data, timeline);
        let usual = Usual { loads: &loads, baseline: before, p99_ns: baseline.response_p99_ns(), rate };
        let settling = match (span(PhaseName::After), data.session.is_some()) {
            (after, _) if lacks(after) => Settling::unsaid(MISSING),
            (Some(after), _) => settling::settling(&guest.intervals, after, &usual),
            (None, true) => Settling::unsaid("no blackout was seen"),
            _ if !data.run.cycles.is_empty() => Settling::unsaid("told for each save and restore"),
            (None, false) => Settling::unsaid("the migration did not complete"),
        };
        let postcopy = timeline.postcopy.as_ref().map(|said| {
            let stage = stages.iter().find(|stage| stage.name == PhaseName::Postcopy);
            let fault_s = stage.and_then(|stage| stage.time.as_ref()).map(waits::fault_s);
            waits::waits((data, axis), said, span(PhaseName::Postcopy), &judged, fault_s)
        });
        let (lost, lost_reason) = either(Some(total(&stages)));
        let untaxed = |pass: Span| {
            let is_same = before.is_some_and(|before| loads.are_one(pass, before));
            baseline_reason.clone().or_else(|| (!is_same).then(|| slowdown::OTHER_LOAD.to_owned()))
        };
        Self {
            dirty_log_tax: tax::tax(&timeline.passes, &timeline.histograms, before.is_some(), untaxed),
            longest: longest(&judged, axis),
            schema: Self::SCHEMA,
            baseline_pages_per_s: rate.ok(),
            lost,
            lost_reason,
            setup: timeline.setup,
            stages,
            settling,
            link_share: link_share::link_share(data, &guest, axis, span(PhaseName::Precopy)),
            postcopy,
            baseline_reason,
        }
    }
}

#[cfg(test)]
std::thread_local! {
    /// How many analyses this thread has worked out: a test holds it against the number of runs.
    pub static COMPUTED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// What the stages' costs are worked out from.
struct Costs<'a> {
    guest: &'a Guest<'a>,
    work: Work<'a>,
    baseline: &'a Stage,
    away: Option<&'a Away>,
    /// The stretches in which no vCPU ran.
    common: Option<Vec<Span>>,
}

impl Costs<'_> {
    /// What each stage cost, in order.
    fn of_all(&self, data: &RunData, timeline: &Timeline) -> Vec<StageCost> {
        // The throttle acts before the switch alone.
        let is_throttled = |phase: &Phase| matches!(phase.name, PhaseName::Precopy | PhaseName::Run);
        let longest_s = |phase| if is_throttled(phase) { throttle_period_s(timeline) } else { 0.0 };
        let periods_s: Vec<f64> = timeline.phases.iter().map(longest_s).collect();
        let is_same = |span| self.work.baseline.is_some_and(|before| self.work.loads.are_one(span, before));
        let mut regions = by_region::by_region((data, self.guest, timeline), &periods_s, is_same).into_iter();
        let cpus = data.records.hellos().last().map_or(&[][..], |hello| &hello.cpus);
        let cpus = if cpus.len() > 1 { &cpus[..cpus.len().min(MOST_CPUS)] } else { &[] };
        let stages = timeline.phases.iter().zip(&timeline.histograms.stages).zip(&periods_s);
        let cost = |((phase, latencies), period_s): ((&Phase, &StageLatencies), &f64)| StageCost {
            cpus: self.away.map_or_else(Vec::new, |away| away.by_cpu(phase.figures.span, cpus)),
            regions: regions.next().unwrap_or_default(),
            ..self.of(phase, latencies, *period_s)
        };
        stages.map(cost).collect()
    }

    /// What one stage cost, all vCPUs and regions together. `period_s` is that of the throttle in it.
    fn of(&self, phase: &Phase, latencies: &StageLatencies, period_s: f64) -> StageCost {
        let (name, stage, work) = (phase.name, phase.figures.span, &self.work);
        let later = name != PhaseName::Baseline;
        let is_same = work.baseline.is_some_and(|before| work.loads.are_one(stage, before));
        let lacks_own = self.guest.lacks_intervals(stage);
        let lacks = lacks_own || work.baseline.is_some_and(|before| self.guest.lacks_intervals(before));
        let slowdown = (later && name != PhaseName::Blackout && !lacks).then(|| {
            Stage::of(&inside(self.guest, Some(stage)), latencies, period_s, self.guest.clock_step_ns)
                .against(self.baseline, is_same)
        });
        let lost = || if lacks { Err(MISSING.into()) } else { work.lost(stage) };
        let (lost, lost_reason) = either(later.then(lost));
        let done = phase.figures.achieved_pages_per_s;
        let per_gib = if lacks_own { Err(MISSING.into()) } else { per_gib(work.loads, name, stage, done) };
        let (ms_per_gib, ms_per_gib_reason) = either(Some(per_gib));
        let availability = |common: &Vec<Span>| away::availability(common, stage);
        StageCost {
            name,
            slowdown,
            lost,
            lost_reason,
            ms_per_gib,
            ms_per_gib_reason,
            availability: self.common.as_ref().map_or_else(Vec::new, availability),
            time: self.away.map(|away| away.by_class(stage)),
            cpus: Vec::new(),
            regions: Vec::new(),
        }
    }
}

/// A figure or the reason for none; neither where it was not asked for.
fn either<T>(told: Option<Result<T, String>>) -> (Option<T>, Option<String>) {
    match told {
        Some(Ok(figure)) => (Some(figure), None),
        Some(Err(reason)) => (None, Some(reason)),
        None => (None, None),
    }
}

/// Writes a second; none where nothing was written.
fn written_per_s(intervals: &[&IntervalAt<'_>]) -> Option<f64> {
    let time_s: f64 = intervals.iter().map(|at| at.span.length_s()).sum();
    let writes: f64 = intervals.iter().map(|at| at.interval.writes as f64).sum();
    (time_s > 0.0 && writes > 0.0).then(|| writes / time_s)
}

/// How long writing one GiB takes at the rate achieved, in ms, where that rate means something.
fn per_gib(loads: &Loads, name: PhaseName, stage: Span, done: Option<f64>) -> Result<f64, String> {
    if name == PhaseName::Blackout {
        return Err("nothing runs in it".into());
    }
    loads.has_one_rate(stage)?;
    work::ms_per_gib(done).ok_or_else(|| "nothing was written".into())
}

/// The intervals whose middle lies in `span`.
fn inside<'a, 'b>(guest: &'b Guest<'a>, span: Option<Span>) -> Vec<&'b IntervalAt<'a>> {
    let inside =
        guest.intervals.iter().filter(|at| span.is_some_and(|span| span.contains(at.span.middle_s())));
    inside.collect()
}

/// The longest period of QEMU's throttle in the run, by its law of 10 ms / (1 - p); 0 without a throttle.
fn throttle_period_s(timeline: &Timeline) -> f64 {
    let highest = timeline.throttle.iter().filter_map(|level| level.percent).max();
    highest.map_or(0.0, |percent| 0.01 / (1.0 - percent.min(99) as f64 / 100.0))
}

/// What all stages after the baseline lost together; why not, where one of them cannot tell.
fn total(stages: &[StageCost]) -> Result<Lost, String> {
    let mut sum: Option<Lost> = None;
    for stage in stages.iter().filter(|stage| stage.name != PhaseName::Baseline) {
        let Some(own) = stage.lost else {
            let reason = stage.lost_reason.clone().unwrap_or_default();
            return Err(format!("{}: {reason}", stage.name.title()));
        };
        sum = Some(sum.map_or(own, |sum| Lost {
            pages: sum.pages + own.pages,
            full_stop_s: sum.full_stop_s + own.full_stop_s,
            covered_s: sum.covered_s + own.covered_s,
            against: own.against,
        }));
    }
    sum.ok_or_else(|| "no migration was started".into())
}

/// The longest gaps of the run by the host's clock, the longest first; those of several vCPUs that were one are told once.
fn longest(judged: &Judged, axis: &Axis) -> Vec<Longest> {
    let gaps = judged.gaps.iter().zip(&judged.verdicts);
    let mut order: Vec<Longest> = gaps
        .filter_map(|(gap, verdict)| {
            let span = axis.guest_span(gap.start_ns, gap.end_ns())?;
            let (class, confidence, common) = (verdict.class, verdict.confidence, verdict.common);
            Some(Longest { span, cpu: gap.cpu, common, class, confidence })
        })
        .collect();
    let by_length = |one: &Longest, other: &Longest| {
        let longer = nanos(other.span.length_s()).cmp(&nanos(one.span.length_s()));
        longer.then(one.span.start_s.total_cmp(&other.span.start_s)).then(one.cpu.cmp(&other.cpu))
    };
    order.sort_by(by_length);
    let mut longest: Vec<Longest> = Vec::new();
    for gap in order {
        let span = gap.span;
        let is_told = |other: &Longest| other.common && other.span.overlap_s(&span) >= span.length_s() / 2.0;
        if longest.len() < LONGEST && !(gap.common && longest.iter().any(is_told)) {
            longest.push(gap);
        }
    }
    longest
}
