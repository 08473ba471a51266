//! What the guest said, put on the time axis: intervals and gaps with the time they took on the host's clock.

use super::{axis::Axis, span::Span};
use crate::{
    lab::rundir::{IntervalFigures, RunData},
    record::Gap,
};

/// One interval record on the time axis.
#[derive(Debug, Clone, Copy)]
pub struct IntervalAt<'a> {
    /// When it was.
    pub span: Span,
    /// What it says.
    pub interval: &'a IntervalFigures,
}

/// One gap on the time axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GapAt {
    /// When the vCPU was away.
    pub span: Span,
    /// Which vCPU.
    pub cpu: u32,
}

/// All that the guest said, in the order of time.
#[derive(Debug, Clone)]
pub struct Guest<'a> {
    /// The intervals.
    pub intervals: Vec<IntervalAt<'a>>,
    /// The gaps.
    pub gaps: Vec<GapAt>,
    /// Canaries that looked for gaps; none where it is not known whether any did.
    pub canaries: Option<usize>,
    /// Whether gap records are missing, so that only the intervals' sums are complete.
    pub gaps_dropped: bool,
    /// The steps of the clock that stamped, the coarsest that was told; 0 where none was.
    pub clock_step_ns: u64,
    /// Where an interval is missing: each follows the one before without a gap in time, unless records are lost.
    missing: Vec<Span>,
}

impl<'a> Guest<'a> {
    /// What the guest of this run said.
    pub fn of(data: &'a RunData, axis: &Axis) -> Self {
        let records = &data.records;
        let at = |interval: &'a IntervalFigures| {
            let span = axis.guest_span(interval.start_ns, interval.end_ns)?;
            Some(IntervalAt { span, interval })
        };
        let mut intervals: Vec<IntervalAt<'a>> = records.intervals.iter().filter_map(at).collect();
        let at = |gap: &Gap| {
            let span = axis.guest_span(gap.start_ns, gap.end_ns())?;
            Some(GapAt { span, cpu: gap.cpu })
        };
        let mut gaps: Vec<GapAt> = records.gaps.iter().filter_map(at).collect();
        let clock_step_ns = records.hellos().filter_map(|hello| hello.clock.step_ns).max().unwrap_or(0);
        intervals.sort_by(|one, other| one.span.start_s.total_cmp(&other.span.start_s));
        gaps.sort_by(|one, other| one.span.start_s.total_cmp(&other.span.start_s));
        let watched = !gaps.is_empty() || intervals.iter().any(|at| at.interval.gaps.is_some());
        let canaries = super::axis::canaries(data).filter(|_| watched);
        let missing = missing(&intervals, !data.audit.stream.is_empty());
        Self { intervals, gaps, canaries, gaps_dropped: data.lacks_gaps(), clock_step_ns, missing }
    }

    /// Whether intervals are missing in a stretch of time, so that nothing of it can be summed up.
    pub fn lacks_intervals(&self, span: Span) -> bool {
        self.missing.iter().any(|missing| missing.common(&span).is_some())
    }

    /// The share of vCPU time that was lost in each interval, 0 to 1; empty where nobody looked for gaps.
    ///
    /// From the gaps' own times, so that a gap over several intervals counts in each of them. Where the guest's clock
    /// stood still in a blackout, the interval is longer on the host's clock: nothing ran in that time either.
    pub fn gap_share_per_interval(&self) -> Vec<f64> {
        let Some(canaries) = self.canaries else {
            return Vec::new();
        };
        let mut lost_s = vec![0.0; self.intervals.len()];
        for gap in &self.gaps {
            let first = self.intervals.partition_point(|at| at.span.end_s <= gap.span.start_s);
            for (at, lost) in self.intervals.iter().zip(&mut lost_s).skip(first) {
                if at.span.start_s >= gap.span.end_s {
                    break;
                }
                *lost += at.span.overlap_s(&gap.span);
            }
        }
        let shares = self.intervals.iter().zip(lost_s).map(|(at, lost)| {
            let stood_s = at.frozen_s() * canaries as f64;
            let summed =
                at.interval.gaps.filter(|_| self.gaps_dropped).map_or(0.0, |gaps| gaps.total_ns as f64 / 1e9);
            share(lost.max(stood_s).max(summed), canaries, at.span.length_s())
        });
        shares.collect()
    }
}

/// The times between intervals that no interval covers; what follows the last one as well, where records are known to be missing.
fn missing(intervals: &[IntervalAt<'_>], is_damaged: bool) -> Vec<Span> {
    let is_apart = |pair: &&[IntervalAt<'_>]| pair[1].interval.start_ns > pair[0].interval.end_ns;
    let between = |pair: &[IntervalAt<'_>]| Span::new(pair[0].span.end_s, pair[1].span.start_s);
    let tail = intervals.last().filter(|_| is_damaged).map(|last| Span::new(last.span.end_s, f64::INFINITY));
    intervals.windows(2).filter(is_apart).map(between).chain(tail).collect()
}

impl IntervalAt<'_> {
    /// How much longer it was on the host's clock than on the guest's, in seconds.
    fn frozen_s(&self) -> f64 {
        let guest_s = self.interval.end_ns.saturating_sub(self.interval.start_ns) as f64 / 1e9;
        self.span.length_s() - guest_s
    }
}

/// `lost_s` of the time of all canaries together, 0 to 1.
pub fn share(lost_s: f64, canaries: usize, time_s: f64) -> f64 {
    let whole = canaries as f64 * time_s;
    if whole > 0.0 { (lost_s / whole).min(1.0) } else { 0.0 }
}
