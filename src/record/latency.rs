//! A latency distribution in short, and what of it a clock can tell.

use crate::histogram::Counts;
use serde::{Deserialize, Serialize};

/// A latency distribution in short, in ns; a quantile is at most 0.8 % too high. Absent where nothing was counted, and where the
/// clock cannot tell it ([`is_resolved`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "host", derive(schemars::JsonSchema))]
pub struct Latency {
    /// Visits counted.
    pub count: u64,
    /// Half of the visits took at most this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<u64>,
    /// 90 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<u64>,
    /// 99 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<u64>,
    /// 99.9 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p999: Option<u64>,
    /// The longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

/// A clock that steps by so much shows in latencies, ns: what is shorter is below what a store takes to reach memory.
const COARSE_STEP_NS: u64 = 1000;

/// The longest time that a clock which takes steps of `step_ns` cannot tell from none. What seems to take no time, or just one step
/// of a coarse clock, may have taken anything up to that.
pub const fn unresolved_ns(step_ns: u64) -> u64 {
    if step_ns < COARSE_STEP_NS { 0 } else { step_ns.saturating_add(step_ns / 2) }
}

/// Whether a clock that takes steps of `step_ns` tells that something took `span_ns`.
pub const fn is_resolved(span_ns: u64, step_ns: u64) -> bool {
    span_ns > unresolved_ns(step_ns)
}

impl Latency {
    /// Of `counts`, by a clock that takes steps of `step_ns`.
    pub fn of(counts: &Counts, step_ns: u64) -> Self {
        let count = counts.count();
        let found = counts.quantiles(count, [0.5, 0.9, 0.99, 0.999, 1.0]);
        let [p50, p90, p99, p999, max] =
            found.map(|quantile| quantile.filter(|span_ns| is_resolved(*span_ns, step_ns)));
        Self { count, p50, p90, p99, p999, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_coarse_clock_cannot_tell_is_absent_and_what_it_can_stays() {
        let mut counts = Counts::default();
        counts.record_n(0, 980);
        counts.record_n(4_000_250, 15);
        counts.record_n(300_000_000, 5);
        let told = Latency::of(&counts, 4_000_250);
        assert_eq!((told.count, told.p50, told.p90, told.p99), (1000, None, None, None));
        assert!(told.p999.zip(told.max).is_some_and(|(p999, max)| p999.min(max) >= 297_000_000), "{told:?}");
        let fine = Latency::of(&counts, 20);
        assert_eq!((fine.p50, fine.p99.is_some()), (None, true), "nothing takes no time");
        assert!(Latency::of(&counts, 0).p99.is_some());
    }
}
