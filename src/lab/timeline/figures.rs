//! What the guest measured in a stretch of time: rate, latency, gaps.

use super::guest::{Guest, IntervalAt, share};
use super::histograms::BothLatencies;
use super::span::{Span, nanos};
use crate::{histogram::Counts, record::Latency};
use serde::Serialize;

/// What the guest measured in a stretch of time. What could not be measured there is none, never zero.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// The stretch.
    #[serde(flatten)]
    pub span: Span,
    /// Intervals whose middle lies in it; rate and latency are theirs. None where some are missing.
    pub intervals: usize,
    /// Page visits a second that were asked for; none for `max`.
    pub asked_pages_per_s: Option<f64>,
    /// Page visits a second that wrote, by the host's clock.
    pub achieved_pages_per_s: Option<f64>,
    /// From actual start to end of a visit.
    pub service_ns: Option<Latency>,
    /// From intended start to end of a visit.
    pub response_ns: Option<Latency>,
    /// Gaps, each with the part of it that lies in the stretch.
    pub gaps: Option<GapFigures>,
}

/// Gaps within a stretch of time, all canaries together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GapFigures {
    /// Gaps that lie in it at least in part.
    pub count: u64,
    /// Their length, sum over vCPUs.
    pub total_ns: u64,
    /// The longest.
    pub longest_ns: u64,
    /// Their length as a share of the time of all vCPUs, 0 to 1.
    pub share: f64,
}

/// What the guest measured in `span`, whose latencies are these.
pub fn figures(guest: &Guest<'_>, span: Span, latencies: &BothLatencies) -> Figures {
    let is_whole = !guest.lacks_intervals(span);
    let inside: Vec<&IntervalAt<'_>> =
        guest.intervals.iter().filter(|at| is_whole && span.contains(at.span.middle_s())).collect();
    let (asked_pages_per_s, achieved_pages_per_s) = rates(&inside);
    // By the steps of the guest's clock; none where nothing was counted.
    let told =
        |counts: &Counts| (is_whole && !counts.is_empty()).then(|| Latency::of(counts, guest.clock_step_ns));
    Figures {
        span,
        intervals: inside.len(),
        asked_pages_per_s,
        achieved_pages_per_s,
        service_ns: told(&latencies.service),
        response_ns: told(&latencies.response),
        // Where records of gaps are missing as well, nothing has their sum.
        gaps: gaps(guest, span, &inside).filter(|_| is_whole || !guest.gaps_dropped),
    }
}

/// Asked (the mean over time, none where any interval asked for `max`) and achieved.
fn rates(inside: &[&IntervalAt<'_>]) -> (Option<f64>, Option<f64>) {
    let time_s: f64 = inside.iter().map(|at| at.span.length_s()).sum();
    if time_s <= 0.0 {
        return (None, None);
    }
    let asked: Option<f64> =
        inside.iter().map(|at| Some(at.interval.target_pages_per_s? as f64 * at.span.length_s())).sum();
    let writes: f64 = inside.iter().map(|at| at.interval.writes as f64).sum();
    (asked.map(|asked| asked / time_s), Some(writes / time_s))
}

fn gaps(guest: &Guest<'_>, span: Span, inside: &[&IntervalAt<'_>]) -> Option<GapFigures> {
    let canaries = guest.canaries?;
    // One that ends where the stretch begins has no part in it.
    let parts = guest.gaps.iter().filter_map(|gap| gap.span.common(&span));
    let parts = parts.filter(|part| nanos(part.length_s()) > 0);
    let (mut count, mut total_s, mut longest_s) = (0u64, 0.0, 0.0f64);
    for part in parts {
        count += 1;
        total_s += part.length_s();
        longest_s = longest_s.max(part.length_s());
    }
    if guest.gaps_dropped {
        // Gap records were given up: the intervals' sums hold what is missing, by interval instead of by gap.
        let sums = inside.iter().filter_map(|at| at.interval.gaps);
        let (summed, most, longest) = sums.fold((0u64, 0u64, 0u64), |(count, total, longest), gaps| {
            (count.saturating_add(gaps.count), total.saturating_add(gaps.total_ns), longest.max(gaps.max_ns))
        });
        count = count.max(summed);
        total_s = total_s.max(most as f64 / 1e9);
        longest_s = longest_s.max(longest as f64 / 1e9);
    }
    Some(GapFigures {
        count,
        total_ns: nanos(total_s),
        longest_ns: nanos(longest_s),
        share: share(total_s, canaries, span.length_s()),
    })
}
