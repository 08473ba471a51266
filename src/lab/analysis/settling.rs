//! When the load was steady again after the migration.

use crate::lab::timeline::{IntervalAt, Span};
use serde::Serialize;

/// How long it must hold, in seconds.
const HOLD_S: f64 = 5.0;
/// The share of intervals that must be good in that time.
const GOOD: f64 = 0.95;
/// An interval is good with a p99 up to this many times the baseline's, and this share of its rate.
const P99_TIMES: f64 = 1.2;
const RATE_SHARE: f64 = 0.98;

/// Whether, and when, the load settled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settling {
    /// Seconds from the migration's end until the load was steady; null where it was not, or it cannot be said.
    pub after_s: Option<f64>,
    /// Why there is no time.
    pub reason: Option<String>,
}

impl Settling {
    /// That it cannot be said, and why.
    pub fn unsaid(reason: impl Into<String>) -> Self {
        Self { after_s: None, reason: Some(reason.into()) }
    }
}

/// The first start of an interval in `after` from which, for 5 s, 95 % of the intervals are as good as the baseline:
/// response p99 at most 1.2 times `p99_ns`, rate at least 0.98 times `rate` (pages a second).
pub fn settling(intervals: &[IntervalAt<'_>], after: Span, p99_ns: f64, rate: f64) -> Settling {
    if after.length_s() < HOLD_S {
        let measured = after.length_s();
        return Settling::unsaid(format!(
            "only {measured:.1} s were measured after it, {HOLD_S:.0} s are needed"
        ));
    }
    let inside: Vec<&IntervalAt<'_>> =
        intervals.iter().filter(|at| after.contains(at.span.middle_s())).collect();
    let good = |at: &&IntervalAt<'_>| {
        let quick = at.interval.response_ns.p99.is_some_and(|p99| p99 as f64 <= P99_TIMES * p99_ns);
        quick && at.interval.writes as f64 >= RATE_SHARE * rate * at.span.length_s()
    };
    let mut sums = vec![0usize];
    for at in &inside {
        sums.push(sums.last().copied().unwrap_or(0) + usize::from(good(at)));
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
            return Settling { after_s: Some((at.span.start_s - after.start_s).max(0.0)), reason: None };
        }
    }
    Settling::unsaid(format!("not settled within {:.1} s", after.length_s()))
}
