//! The throttle at a moment: what the comb tells, or a level that a throttle was just raised to.
//!
//! At 99 % a vCPU runs for 10 ms a second, and after the first of its sleeps there is no rhythm yet. But QEMU raises a
//! throttle without a break: the sleep that was due comes when it was due, one slice after the last of the level before,
//! and is as long as the new level has it. One such stop is enough, where its length is that of a whole percent to the
//! accuracy of a canary.

use super::comb::{self, LONG_NS, SHORT_NS, SLICE_NS, Stop};
use crate::record::{Throttle, ThrottleLaw};

/// Levels that one stop may tell: below, the comb has its stops within 1.5 s. And the fewer, the fewer pauses of the VM
/// are as long as one of their sleeps.
const RAISED: std::ops::RangeInclusive<u64> = 97..=99;
/// The score of a throttle that was told by one stop: the least there is.
const RAISED_SCORE_PERCENT: u64 = 45;

/// The throttle at `now_ns`, from the stops (in any order) of the last [`comb::WINDOW_NS`]; none where it cannot be told.
pub fn throttle(stops: &[Stop], now_ns: u64) -> Option<Throttle> {
    raised(stops, now_ns).or_else(|| comb::throttle(stops, now_ns))
}

/// The level of the last long stop, where it went on from a throttle that was less, and nothing after it says otherwise.
fn raised(stops: &[Stop], now_ns: u64) -> Option<Throttle> {
    let past = stops.iter().filter(|stop| stop.end_ns <= now_ns);
    let (last, percent) =
        past.filter_map(|stop| Some((stop, of_length(stop.len_ns)?))).max_by_key(|(stop, _)| stop.end_ns)?;
    let period_ns = period_ns(percent);
    if now_ns > last.end_ns.saturating_add(period_ns + LONG_NS) {
        return None;
    }
    let begin_ns = last.end_ns.saturating_sub(last.len_ns);
    let before: Vec<Stop> = stops.iter().filter(|stop| stop.end_ns <= begin_ns).copied().collect();
    let level = comb::throttle(&before, begin_ns)?;
    let is_one = |stop: &Stop| is_about(stop.len_ns, level.period_ns.saturating_sub(SLICE_NS));
    let follows = before.iter().any(|stop| is_one(stop) && is_slice(begin_ns - stop.end_ns));
    let goes_on = stops.iter().any(|stop| stop.end_ns > last.end_ns && stop.end_ns <= now_ns && is_one(stop));
    let is_raised = level.law == ThrottleLaw::Qemu && level.percent < percent && follows && !goes_on;
    let score_percent = RAISED_SCORE_PERCENT;
    is_raised.then_some(Throttle { percent, period_ns, law: ThrottleLaw::Qemu, score_percent })
}

/// One sleep and the run after it, by QEMU's law.
const fn period_ns(percent: u64) -> u64 {
    SLICE_NS * 100 / (100 - percent)
}

/// The level whose sleeps are as long.
fn of_length(len_ns: u64) -> Option<u64> {
    RAISED.into_iter().find(|percent| is_about(len_ns, period_ns(*percent) - SLICE_NS))
}

/// Whether a stop is as long as a sleep, as a canary sees it.
fn is_about(len_ns: u64, sleep_ns: u64) -> bool {
    (sleep_ns.saturating_sub(SHORT_NS)..=sleep_ns.saturating_add(LONG_NS)).contains(&len_ns)
}

/// Whether a vCPU ran for as long as QEMU lets it: canaries wake late from one stop and see the next one early.
fn is_slice(ran_ns: u64) -> bool {
    (SLICE_NS - LONG_NS..=SLICE_NS + SHORT_NS).contains(&ran_ns)
}

#[cfg(test)]
mod tests;
