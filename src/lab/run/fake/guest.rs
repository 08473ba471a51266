//! The guest of a scripted VM.

use crate::histogram::Counts;
use crate::record::{GapSummary, Interval, Latency, SessionId};
use crate::units::Rate;

/// A millisecond, ns.
pub const MS: u64 = 1_000_000;
/// Its intervals, and the run's ticks.
pub const TICK_NS: u64 = 100 * MS;

/// The guest of a scripted VM: a load that does a share of what is asked for, in intervals of a tick.
#[derive(Debug)]
pub struct FakeGuest {
    pub session: SessionId,
    pub seq: u64,
    pub runs: bool,
    /// Visits a tick that are asked for.
    pub asked: u64,
    /// The share of them that is done; none before the load begins, and after its end.
    pub percent: Option<u64>,
    /// The share of the time of both vCPUs that they are away; none where no canary watches.
    pub away_percent: Option<u64>,
    pub baseline_ns: u64,
    pub began_ns: u64,
    /// What the host named.
    pub phase: String,
}

impl FakeGuest {
    /// Goes at that rate from now on.
    pub fn take(&mut self, rate: Option<&str>) {
        let rate = rate.and_then(|rate| rate.parse::<Rate>().ok()).and_then(Rate::pages_per_s);
        self.asked = rate.map_or(self.asked, |pages| pages / 10);
    }

    /// What it says of the tick that ends now.
    pub fn interval(&self, now_ns: u64, percent: u64) -> Interval {
        let is_baseline = now_ns - self.began_ns < self.baseline_ns;
        let away_ns = |percent: u64| 2 * TICK_NS * percent / 100;
        let gaps = |percent| GapSummary { count: 1, total_ns: away_ns(percent), ..GapSummary::default() };
        let mut visits = Counts::default();
        let (done, behind) = (self.asked * percent / 100, self.asked * 100_u64.saturating_sub(percent) / 100);
        visits.record_n(500_000, done);
        let packed = visits.pack();
        Interval {
            phase: if is_baseline { "baseline".into() } else { self.phase.clone() },
            start_ns: now_ns - TICK_NS,
            end_ns: now_ns,
            writes: done,
            offered: Some(self.asked),
            missed: Some(0),
            backlog: Some(behind),
            target_pages_per_s: Some(self.asked * 10),
            response_ns: Latency { count: done, p99: Some(500_000), ..Latency::default() },
            service_hist: packed.clone(),
            response_hist: packed,
            gaps: self.away_percent.map(gaps),
            steal_ms: self.away_percent.map(|percent| away_ns(percent) / (2 * MS)),
            ..Interval::default()
        }
    }
}
