//! What a migration cost the guest, against its own baseline: each figure with what limits it, or the reason for none.
//!
//! Pure functions of a run directory; `analysis.json` holds what they find.

mod away;
mod bootstrap;
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

pub use away::{Availability, TimeByClass};
pub use repeats::{Difference, Group, Repeats, Spread, size as effect_size};
pub use settling::Settling;
pub use slowdown::{Ratio, Slowdown};
pub use tax::Tax;
pub use waits::{Faults, Waits};
pub use work::Lost;

use crate::{
    lab::{
        rundir::RunData,
        timeline::{Axis, Guest, IntervalAt, PhaseName, Span, Timeline},
    },
    record::GapClass,
};
use away::Away;
use bootstrap::{Draws, bounds};
use serde::Serialize;
use slowdown::Stage;
use verdicts::Judged;

/// How many of the longest gaps are told one by one.
const LONGEST: usize = 10;

/// What one run cost the guest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    /// The form of this file.
    pub schema: u32,
    /// The rate everything is held against; null where there is no steady baseline.
    pub baseline_pages_per_s: Option<f64>,
    /// Why nothing is compared with the baseline; null where it is.
    pub baseline_reason: Option<String>,
    /// Stage by stage, in order.
    pub stages: Vec<StageCost>,
    /// Lost work of all stages from the migration's start on; null without a steady baseline.
    pub lost: Option<Lost>,
    /// When the load was steady again.
    pub settling: Settling,
    /// Post-copy's waits; null where it was not switched to.
    pub postcopy: Option<Waits>,
    /// What the dirty log cost, pass by pass.
    pub dirty_log_tax: Vec<Tax>,
    /// The longest gaps, and whose they were.
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
    /// Against the baseline; null for the baseline itself and for the blackout, in which nothing runs.
    pub slowdown: Option<Slowdown>,
    /// Work lost; null without a steady baseline, and for the baseline.
    pub lost: Option<Lost>,
    /// How long writing 1 GiB of pages takes at the rate achieved; null where nothing was written.
    pub ms_per_gib: Option<f64>,
    /// The worst windows; empty where no canary watched.
    pub availability: Vec<Availability>,
    /// Where the vCPUs' time went; null where no canary watched, or gap records are missing.
    pub time: Option<TimeByClass>,
}

impl Analysis {
    /// The form that this version writes.
    pub const SCHEMA: u32 = 1;

    /// Works out what the run cost.
    pub fn of(data: &RunData, timeline: &Timeline) -> Self {
        let axis = Axis::of(data);
        let guest = Guest::of(data, &axis);
        let span = |name| timeline.phase(name).map(|phase| phase.figures.span);
        let blackout = span(PhaseName::Blackout);
        let baseline = Stage::of(&inside(&guest, span(PhaseName::Baseline)), 0.0);
        let baseline_reason = baseline.halves_apart();
        let rate = baseline.rate().filter(|rate| baseline_reason.is_none() && *rate > 0.0);
        let watched = guest.canaries.filter(|_| !guest.gaps_dropped);
        let judged =
            watched.map(|canaries| verdicts::judged(data, &axis, timeline, canaries)).unwrap_or_default();
        let away = watched.map(|canaries| Away::of(&judged, &axis, canaries, blackout));
        let common = away.as_ref().map(Away::common);
        let cost = |name: PhaseName, stage: Span, done: Option<f64>| {
            let later = name != PhaseName::Baseline;
            let compared = later && name != PhaseName::Blackout;
            let period_s = if name == PhaseName::Precopy { period_s(timeline) } else { 0.0 };
            StageCost {
                name,
                slowdown: compared
                    .then(|| Stage::of(&inside(&guest, Some(stage)), period_s).against(&baseline)),
                lost: rate.filter(|_| later).map(|rate| work::lost(&guest.intervals, stage, blackout, rate)),
                ms_per_gib: work::ms_per_gib(done.filter(|_| name != PhaseName::Blackout)),
                availability: common
                    .as_ref()
                    .map_or_else(Vec::new, |common| away::availability(common, stage)),
                time: away.as_ref().map(|away| away.by_class(stage)),
            }
        };
        let stages: Vec<StageCost> = timeline
            .phases
            .iter()
            .map(|phase| cost(phase.name, phase.figures.span, phase.figures.achieved_pages_per_s))
            .collect();
        let settling = settled(&guest, span(PhaseName::After), &baseline, rate, baseline_reason.as_deref());
        let postcopy = timeline.postcopy.as_ref().map(|said| {
            let stage = stages.iter().find(|stage| stage.name == PhaseName::Postcopy);
            let fault_s = stage.and_then(|stage| stage.time.as_ref()).map(waits::fault_s);
            waits::waits((data, &axis), said, span(PhaseName::Postcopy), &judged, fault_s)
        });
        let before = span(PhaseName::Baseline);
        Self {
            dirty_log_tax: tax::tax(&guest.intervals, &timeline.passes, before, baseline_reason.as_deref()),
            longest: longest(&judged, &axis),
            schema: Self::SCHEMA,
            baseline_pages_per_s: rate,
            baseline_reason,
            lost: total(&stages, rate),
            stages,
            settling,
            postcopy,
        }
    }
}

/// The intervals whose middle lies in `span`.
fn inside<'a, 'b>(guest: &'b Guest<'a>, span: Option<Span>) -> Vec<&'b IntervalAt<'a>> {
    let inside =
        guest.intervals.iter().filter(|at| span.is_some_and(|span| span.contains(at.span.middle_s())));
    inside.collect()
}

/// The longest period of QEMU's throttle in the run, by its law of 10 ms / (1 - p); 0 without a throttle.
fn period_s(timeline: &Timeline) -> f64 {
    let highest = timeline.throttle.iter().filter_map(|level| level.percent).max();
    highest.map_or(0.0, |percent| 0.01 / (1.0 - percent.min(99) as f64 / 100.0))
}

fn total(stages: &[StageCost], rate: Option<f64>) -> Option<Lost> {
    let rate = rate?;
    let (pages, covered_s) = stages
        .iter()
        .filter_map(|stage| stage.lost)
        .fold((0.0, 0.0), |(pages, covered_s), lost| (pages + lost.pages, covered_s + lost.covered_s));
    Some(Lost { pages, full_stop_s: pages / rate, covered_s })
}

fn settled(
    guest: &Guest<'_>,
    after: Option<Span>,
    baseline: &Stage,
    rate: Option<f64>,
    unsaid: Option<&str>,
) -> Settling {
    let Some(after) = after else {
        return Settling::unsaid("the migration did not complete");
    };
    match (rate, baseline.response_ns(0.99)) {
        (Some(rate), Some(p99_ns)) => settling::settling(&guest.intervals, after, p99_ns, rate),
        _ => Settling::unsaid(unsaid.unwrap_or("the baseline wrote nothing")),
    }
}

/// The longest gaps of the run, the longest first; those of several vCPUs that were one are told once.
fn longest(judged: &Judged, axis: &Axis) -> Vec<Longest> {
    let mut order: Vec<_> = judged.gaps.iter().zip(&judged.verdicts).collect();
    order.sort_by_key(|(gap, _)| (std::cmp::Reverse(gap.len_ns), gap.start_ns, gap.cpu));
    let mut longest: Vec<Longest> = Vec::new();
    for (gap, verdict) in order {
        let span = axis.guest_span(gap.start_ns, gap.end_ns());
        let Some(span) = span.filter(|_| longest.len() < LONGEST) else { continue };
        let (class, confidence, common) = (verdict.class, verdict.confidence, verdict.common);
        let is_told = |other: &Longest| other.common && other.span.overlap_s(&span) >= span.length_s() / 2.0;
        if !(common && longest.iter().any(is_told)) {
            longest.push(Longest { span, cpu: gap.cpu, common, class, confidence });
        }
    }
    longest
}
