//! Work that was lost: what the baseline's rate would have done and the stage did not.

use crate::lab::timeline::{IntervalAt, Span};
use serde::Serialize;

/// Pages of one GiB.
const GIB_PAGES: f64 = 262_144.0;

/// Lost work of one stage. Visits that are caught up later are not set against it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lost {
    /// Pages: the integral of max(0, baseline's rate less rate) over the stage.
    pub pages: f64,
    /// The same as seconds in which nothing is written at all.
    pub full_stop_s: f64,
    /// How much of the stage intervals cover, in seconds; the rest is not judged.
    pub covered_s: f64,
}

/// What a stage lost against `rate` (pages a second, above 0). `intervals` are ordered by their start. In `blackout`
/// nothing runs: an interval that reaches into it has written what it wrote outside.
pub fn lost(intervals: &[IntervalAt<'_>], stage: Span, blackout: Option<Span>, rate: f64) -> Lost {
    let (mut pages, mut covered_s, mut told_s) = (0.0, 0.0, stage.start_s);
    for at in intervals {
        // What one interval has told, a second that overlaps it cannot tell again.
        let Some(part) = Span::new(at.span.start_s.max(told_s), at.span.end_s).common(&stage) else {
            continue;
        };
        told_s = part.end_s;
        let stood = |span: &Span| blackout.map_or(0.0, |blackout| blackout.overlap_s(span));
        let ran_s = at.span.length_s() - stood(&at.span);
        let own = if ran_s > 0.0 { at.interval.writes as f64 / ran_s } else { 0.0 };
        let stood_s = stood(&part);
        pages += rate * stood_s + (rate - own).max(0.0) * (part.length_s() - stood_s);
        covered_s += part.length_s();
    }
    Lost { pages, full_stop_s: pages / rate, covered_s }
}

/// How long writing one GiB of pages takes at `pages_per_s`, in ms; none where nothing was written.
pub fn ms_per_gib(pages_per_s: Option<f64>) -> Option<f64> {
    pages_per_s.filter(|rate| *rate > 0.0).map(|rate| GIB_PAGES / rate * 1e3)
}
