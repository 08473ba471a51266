//! What each region of a load had of a stage: its own latencies, and its own slowdown. Sums over all of them hide a region that was
//! spared, and one that bore everything.

use super::slowdown::{MISSING, Slowdown, Stage};
use crate::{
    histogram::Counts,
    lab::{
        rundir::{IntervalFigures, RunData},
        timeline::{Guest, IntervalAt, Phase, PhaseName, Span, StageLatencies, Timeline},
    },
    record::{Latency, RegionInterval},
    units::harmless,
};
use serde::Serialize;

/// Why a region's latencies are not told.
const NO_HISTOGRAMS: &str = "some intervals lack the region's histograms";

/// One region in one stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegionCost {
    /// Its name.
    pub name: String,
    /// The vCPUs its writers are on.
    pub cpus: Vec<u32>,
    /// Whether it computes: what it does are units of work then, and no visits of pages.
    pub computes: bool,
    /// Visits, reads included, or units done a second by the host's clock; null where there was no time.
    pub done_per_s: Option<f64>,
    /// From actual start to end; null where nothing was done, or with a `reason`.
    pub service_ns: Option<Latency>,
    /// From intended start to end; null likewise.
    pub response_ns: Option<Latency>,
    /// Against the region's own baseline; null for the baseline and the blackout, or with a `reason`.
    pub slowdown: Option<Slowdown>,
    /// Why there are no latencies, or no slowdown.
    pub reason: Option<String>,
}

/// The intervals of one region in one stage.
#[derive(Default)]
struct Told {
    figures: Vec<(Span, IntervalFigures)>,
    latencies: StageLatencies,
    lacks: bool,
}

impl Told {
    fn add(&mut self, span: Span, own: &RegionInterval) {
        let unpack = |packed: &Option<String>| packed.as_ref().and_then(|packed| Counts::unpack(packed).ok());
        let both = [unpack(&own.service_hist), unpack(&own.response_hist)];
        self.lacks |= both.iter().any(Option::is_none);
        self.latencies.add(&both);
        self.figures.push((span, IntervalFigures::of_region(own)));
    }

    fn stage(&self, period_s: f64, step_ns: u64) -> Stage {
        let intervals: Vec<IntervalAt<'_>> =
            self.figures.iter().map(|(span, interval)| IntervalAt { span: *span, interval }).collect();
        Stage::of(&intervals.iter().collect::<Vec<_>>(), &self.latencies, period_s, step_ns)
    }

    fn done_per_s(&self) -> Option<f64> {
        let time_s: f64 = self.figures.iter().map(|(span, _)| span.length_s()).sum();
        let done: f64 = self.figures.iter().map(|(_, own)| own.writes as f64 + own.reads as f64).sum();
        (time_s > 0.0).then(|| done / time_s)
    }
}

/// Each region of a plan that has several, stage by stage; `periods_s` are the longest periods of a throttle in each stage, and
/// `is_same` says whether the stage's load is the baseline's. Empty where the plan has one region.
pub fn by_region(
    (data, guest, timeline): (&RunData, &Guest<'_>, &Timeline),
    periods_s: &[f64],
    is_same: impl Fn(Span) -> bool,
) -> Vec<Vec<RegionCost>> {
    let Some(hello) = data.records.hellos().last().filter(|hello| hello.plan.regions.len() > 1) else {
        return Vec::new();
    };
    let (plan, on) = (&hello.plan, hello.plan.writer_cpus(&hello.cpus));
    let told = told(data, guest, timeline, plan.regions.len());
    let baseline = timeline.phases.iter().position(|phase| phase.name == PhaseName::Baseline);
    let stages = timeline.phases.iter().zip(&told).zip(periods_s);
    let of = |((phase, regions), period_s): ((&Phase, &Vec<Told>), &f64)| -> Vec<RegionCost> {
        let (span, step_ns) = (phase.figures.span, guest.clock_step_ns);
        let lacks_intervals = guest.lacks_intervals(span);
        let mut first = 0;
        let each = plan.regions.iter().zip(regions).enumerate().map(|(index, (region, own))| {
            let computes = region.compute.is_some();
            let mut cpus: Vec<u32> = on.iter().skip(first).take(region.threads as usize).copied().collect();
            first += region.threads as usize;
            cpus.sort_unstable();
            cpus.dedup();
            let before = baseline.and_then(|at| told.get(at)?.get(index));
            let lacks = |told: &Told| told.lacks || told.figures.is_empty();
            let reason = match before {
                _ if lacks_intervals => Some(MISSING),
                _ if own.lacks => Some(NO_HISTOGRAMS),
                Some(before) if before.lacks => Some(NO_HISTOGRAMS),
                _ => None,
            };
            let may_compare = !matches!(phase.name, PhaseName::Baseline | PhaseName::Blackout);
            let slowdown =
                before.filter(|before| may_compare && reason.is_none() && !lacks(before)).map(|before| {
                    // What computes has the same load whatever the others'.
                    let is_same = computes || is_same(span);
                    own.stage(*period_s, step_ns).against(&before.stage(0.0, step_ns), is_same)
                });
            let merged = own.latencies.merged();
            let is_told = !lacks_intervals && !own.lacks;
            let latency =
                |counts: &Counts| (is_told && !counts.is_empty()).then(|| Latency::of(counts, step_ns));
            RegionCost {
                name: harmless(&region.name),
                cpus,
                computes,
                done_per_s: own.done_per_s().filter(|_| !lacks_intervals),
                service_ns: latency(&merged.service),
                response_ns: latency(&merged.response),
                slowdown,
                reason: reason.map(str::to_owned),
            }
        });
        each.collect()
    };
    stages.map(of).collect()
}

/// What the intervals say of each region, stage by stage.
fn told(data: &RunData, guest: &Guest<'_>, timeline: &Timeline, regions: usize) -> Vec<Vec<Told>> {
    let of_stage = |phase: &Phase| -> Vec<Told> {
        let latencies = || StageLatencies::of(phase.figures.intervals);
        (0..regions).map(|_| Told { latencies: latencies(), ..Told::default() }).collect()
    };
    let mut told: Vec<Vec<Told>> = timeline.phases.iter().map(of_stage).collect();
    let mut lines = data.records.interval_lines();
    for at in &guest.intervals {
        let Some(interval) = lines.as_mut().and_then(|lines| lines.whole(at.interval)) else { continue };
        for (phase, own) in timeline.phases.iter().zip(&mut told) {
            if phase.figures.span.contains(at.span.middle_s()) {
                own.iter_mut().zip(&interval.regions).for_each(|(told, region)| told.add(at.span, region));
            }
        }
    }
    told
}
