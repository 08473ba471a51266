//! Work that was lost: visits that were asked for and not made when they were.

use super::loads::Loads;
use crate::lab::timeline::{IntervalAt, Span};
use serde::Serialize;

/// Pages of one GiB.
const GIB_PAGES: f64 = 262_144.0;
/// Where the baseline itself makes a larger share of its visits late, no loss can be told from it.
const SHARE_CEILING: f64 = 0.1;

/// Lost work of one stage. Visits that are caught up later are not set against it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Lost {
    /// Visits that were asked for and not made in their interval, beyond the share of them that the baseline made late as well.
    pub pages: f64,
    /// The same as seconds in which nothing is done at all: over the mean rate that was asked for.
    pub full_stop_s: f64,
    /// How much of the stage intervals cover, in seconds; the rest is not judged.
    pub covered_s: f64,
    /// What was asked for: `schedule`, or `baseline` where there is none.
    pub against: Against,
}

/// What a stage's work is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// What the schedule offered in the same interval.
    Schedule,
    /// The baseline's rate: the load had no schedule, and was the same all the time.
    Baseline,
}

/// What is known of a run's work.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// Ordered by their start.
    pub intervals: &'a [IntervalAt<'a>],
    pub loads: &'a Loads,
    pub baseline: Option<Span>,
    /// In them nothing runs: an interval that reaches into one has done what it did outside.
    pub blackouts: &'a [Span],
    /// Writes a second of the baseline, above 0; or why there is no telling.
    pub rate: Result<f64, &'a str>,
}

/// Sums over a stretch.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    lost: f64,
    asked: f64,
    covered_s: f64,
}

impl Work<'_> {
    /// What a stage lost, or why it cannot be told.
    pub fn lost(&self, stage: Span) -> Result<Lost, String> {
        let against = self.against(stage)?;
        let sums = self.sums(stage, against);
        if sums.covered_s <= 0.0 {
            return Err("no interval covers it".into());
        }
        let usual = match against {
            Against::Schedule => self.usual_share()?,
            Against::Baseline => 0.0,
        };
        let pages = (sums.lost - usual * sums.asked).max(0.0);
        let full_stop_s = if pages > 0.0 { pages / sums.asked * sums.covered_s } else { 0.0 };
        Ok(Lost { pages, full_stop_s, covered_s: sums.covered_s, against })
    }

    /// The share of its visits that the baseline does not make in their interval.
    fn usual_share(&self) -> Result<f64, String> {
        let Some(baseline) = self.baseline else { return Ok(0.0) };
        let sums = self.sums(baseline, Against::Schedule);
        let share = if sums.asked > 0.0 { sums.lost / sums.asked } else { 0.0 };
        if share > SHARE_CEILING {
            return Err(format!("the baseline itself makes {:.0} % of its visits late", share * 100.0));
        }
        Ok(share)
    }

    fn against(&self, stage: Span) -> Result<Against, String> {
        let mut inside = self.intervals.iter().filter(|at| at.span.overlap_s(&stage) > 0.0).peekable();
        let is_scheduled = inside.peek().is_none_or(|at| at.interval.offered.is_some());
        if is_scheduled && inside.all(|at| at.interval.offered.is_some()) && !self.loads.any_max(stage) {
            return Ok(Against::Schedule);
        }
        let is_same = self.baseline.is_some_and(|baseline| self.loads.are_one(stage, baseline));
        if is_scheduled || !is_same {
            return Err("the load had no schedule for a part of it, and is not the baseline's".into());
        }
        self.rate.map(|_| Against::Baseline).map_err(str::to_owned)
    }

    fn sums(&self, stage: Span, against: Against) -> Sums {
        let (mut sums, mut told_s) = (Sums::default(), stage.start_s);
        for at in self.intervals {
            // What one interval has told, a second that overlaps it cannot tell again.
            let Some(part) = Span::new(at.span.start_s.max(told_s), at.span.end_s).common(&stage) else {
                continue;
            };
            told_s = part.end_s;
            let ran_s = at.span.length_s() - at.span.covered_s(self.blackouts);
            let (asked_per_s, asked_standing_per_s) = self.asked_per_s(at, against);
            let done = match against {
                Against::Schedule => at.interval.writes.saturating_add(at.interval.reads),
                Against::Baseline => at.interval.writes,
            };
            let own_per_s = if ran_s > 0.0 { done as f64 / ran_s } else { 0.0 };
            let part_stood_s = part.covered_s(self.blackouts);
            let part_ran_s = part.length_s() - part_stood_s;
            sums.lost +=
                asked_standing_per_s * part_stood_s + (asked_per_s - own_per_s).max(0.0) * part_ran_s;
            sums.asked += asked_standing_per_s * part_stood_s + asked_per_s * part_ran_s;
            sums.covered_s += part.length_s();
        }
        sums
    }

    /// What was asked for in an interval, a second: while the guest ran, and while it stood still. While its clock stands still its
    /// schedule asks for nothing: there it is the rate in force.
    fn asked_per_s(&self, at: &IntervalAt<'_>, against: Against) -> (f64, f64) {
        let offered = match (against, at.interval.offered) {
            (Against::Schedule, Some(offered)) => offered as f64,
            (Against::Schedule, None) => return (0.0, 0.0),
            (Against::Baseline, _) => {
                let rate = self.rate.unwrap_or(0.0);
                return (rate, rate);
            }
        };
        let length_s = at.span.length_s();
        let stood_s = at.span.covered_s(self.blackouts);
        let guest_s = at.interval.end_ns.saturating_sub(at.interval.start_ns) as f64 / 1e9;
        let frozen_s = (length_s - guest_s).clamp(0.0, stood_s);
        let own_per_s = if length_s - frozen_s > 1e-6 { offered / (length_s - frozen_s) } else { 0.0 };
        let frozen = if stood_s > 0.0 { frozen_s / stood_s } else { 0.0 };
        let mean_per_s = self.loads.visits_per_s(at.span.start_s).unwrap_or(own_per_s);
        (own_per_s, own_per_s * (1.0 - frozen) + mean_per_s * frozen)
    }
}

/// How long writing one GiB of pages takes at `pages_per_s`, in ms; none where nothing was written.
pub fn ms_per_gib(pages_per_s: Option<f64>) -> Option<f64> {
    pages_per_s.filter(|rate| *rate > 0.0).map(|rate| GIB_PAGES / rate * 1e3)
}
