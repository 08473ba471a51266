//! When the load was steady again after the migration.

use super::loads::Loads;
use crate::lab::{
    figure::figure,
    rundir::IntervalFigures,
    timeline::{IntervalAt, Span},
};
use serde::Serialize;

/// How long it must hold, in seconds.
const HOLD_S: f64 = 5.0;
/// The share of intervals that must be good in that time.
const GOOD: f64 = 0.95;
/// An interval is good with a p99 up to this many times the baseline's, and this share of what was asked for.
const P99_TIMES: f64 = 1.2;
const RATE_SHARE: f64 = 0.98;
/// The writers are up to date when they are behind by no more than this share of an interval, at the highest rate that the schedule
/// has in it: 10 ms of an interval of 100 ms.
const LATE_SHARE: f64 = 0.1;
/// Visits that may be done on the other side of an interval's border.
const SLACK: f64 = 2.0;

/// Whether, and when, the load settled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settling {
    /// Seconds from the migration's end until the load was steady; null where it was not, or it cannot be said.
    pub after_s: Option<f64>,
    /// Why there is no time.
    pub reason: Option<String>,
    /// What it was judged by; null where it cannot be said.
    pub by: Option<SettledBy>,
}

/// What an interval after the migration is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SettledBy {
    /// What was done of what was asked for, the backlog, and the response against the baseline's.
    RateAndResponse,
    /// What was done of what was asked for, and the backlog: the baseline's response was that of another load, or cannot be
    /// told.
    RateAndBacklog,
}

impl Settling {
    /// That it cannot be said, and why.
    pub fn unsaid(reason: impl Into<String>) -> Self {
        Self { after_s: None, reason: Some(reason.into()), by: None }
    }
}

/// What a steady load is, from the baseline.
#[derive(Debug)]
pub struct Usual<'a> {
    pub loads: &'a Loads,
    pub baseline: Option<Span>,
    /// The response's p99; none where it cannot be told.
    pub p99_ns: Option<f64>,
    /// Writes a second; or why nothing is held against the baseline.
    pub rate: Result<f64, &'a str>,
}

/// The first start of an interval in `after` from which, for 5 s, 95 % of the intervals are as good as the baseline.
pub fn settling(intervals: &[IntervalAt<'_>], after: Span, usual: &Usual<'_>) -> Settling {
    if after.length_s() < HOLD_S {
        let measured = after.length_s();
        return Settling::unsaid(format!(
            "only {} s were measured after it, {HOLD_S:.0} s are needed",
            figure(measured, 1)
        ));
    }
    let inside: Vec<&IntervalAt<'_>> =
        intervals.iter().filter(|at| after.contains(at.span.middle_s())).collect();
    let limits = match limits(&inside, after, usual) {
        Ok(limits) => limits,
        Err(reason) => return Settling::unsaid(reason),
    };
    let by =
        Some(if limits.p99_ns.is_some() { SettledBy::RateAndResponse } else { SettledBy::RateAndBacklog });
    let mut sums = vec![0usize];
    for at in &inside {
        sums.push(sums.last().copied().unwrap_or(0) + usize::from(limits.is_good(at)));
    }
    let mut until = 0;
    for (from, at) in inside.iter().enumerate() {
        let end_s = at.span.start_s + HOLD_S;
        while inside.get(until).is_some_and(|next| next.span.end_s <= end_s + at.span.length_s() / 2.0) {
            until += 1;
        }
        let held =
            inside.get(until.max(1) - 1).is_some_and(|last| last.span.end_s >= end_s - last.span.length_s());
        if held && until > from && (sums[until] - sums[from]) as f64 >= GOOD * (until - from) as f64 {
            return Settling { after_s: Some((at.span.start_s - after.start_s).max(0.0)), reason: None, by };
        }
    }
    Settling { by, ..Settling::unsaid(format!("not settled within {} s", figure(after.length_s(), 1))) }
}

/// What makes an interval good.
#[derive(Debug)]
struct Limits<'a> {
    loads: &'a Loads,
    /// The longest response p99; none where only the backlog is looked at.
    p99_ns: Option<f64>,
    /// Writes a second, for intervals without a schedule.
    rate: Option<f64>,
}

/// The limits for these intervals, or why there are none.
fn limits<'a>(inside: &[&IntervalAt<'_>], after: Span, usual: &Usual<'a>) -> Result<Limits<'a>, String> {
    let loads = usual.loads;
    let is_same = usual.baseline.is_some_and(|baseline| loads.are_one(after, baseline));
    let is_scheduled = super::pooled::is_scheduled(inside) && !loads.any_max(after);
    if is_same {
        let rate = usual.rate.map_err(str::to_owned)?;
        let p99_ns = usual.p99_ns.map(|p99_ns| P99_TIMES * p99_ns);
        return Ok(Limits { loads, p99_ns, rate: Some(rate) });
    }
    if is_scheduled {
        return Ok(Limits { loads, p99_ns: None, rate: None });
    }
    Err("the load after it had no schedule, and is not the baseline's".into())
}

impl Limits<'_> {
    fn is_good(&self, at: &IntervalAt<'_>) -> bool {
        let interval = at.interval;
        let is_kept_up = match (interval.offered, self.rate) {
            (Some(offered), _) => self.is_up_to_date(interval, at.span, offered as f64),
            (None, Some(rate)) => is_enough(interval.writes as f64, rate * at.span.length_s()),
            (None, None) => false,
        };
        // Without a p99 nothing was done, as is right where nothing was asked for; or it took less than a step of the guest's
        // clock, which the baseline's did not.
        let is_quick = self
            .p99_ns
            .zip(interval.response_p99_ns)
            .is_none_or(|(limit_ns, p99_ns)| p99_ns as f64 <= limit_ns);
        is_kept_up && is_quick
    }

    /// Whether all that the schedule asked for was done or is about to be: nothing was given up, and the backlog is short.
    fn is_up_to_date(&self, interval: &IntervalFigures, span: Span, offered: f64) -> bool {
        let done = interval.writes.saturating_add(interval.reads) as f64;
        let backlog = interval.backlog.unwrap_or(0) as f64;
        // A burst may begin just before the interval's end: what little it asked for is late at once.
        let peak_per_s = self.loads.peak_visits_per_s(span).unwrap_or(0.0);
        let most = offered.max(peak_per_s * span.length_s());
        is_enough(done + backlog, offered) && backlog <= (LATE_SHARE * most).max(SLACK)
    }
}

fn is_enough(done: f64, asked: f64) -> bool {
    done >= RATE_SHARE * asked || done + SLACK >= asked
}
