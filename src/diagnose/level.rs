//! The throttle at a moment: what the comb tells, or what one or two long stops tell before there is a rhythm.
//!
//! At 99 % a vCPU runs for 10 ms a second, and after the first of its sleeps there is no rhythm yet. But QEMU raises a
//! throttle without a break: the sleep that was due comes when it was due, one slice after the last of the level before,
//! and is as long as the new level has it, to the accuracy of a canary. One such stop is enough.

use super::comb::{self, LONG_NS, SHORT_NS, SLICE_NS, Stop};
use crate::record::{Throttle, ThrottleLaw};
use std::ops::RangeInclusive;

/// The level that one stop may tell. Of the others one has three or more sleeps in 1.5 s, and the fewer levels there are,
/// the fewer pauses of the VM are as long as one of their sleeps.
const RAISED_PERCENT: u64 = 99;
/// One sleep of it and the run after it, by QEMU's law.
const RAISED_PERIOD_NS: u64 = SLICE_NS * 100 / (100 - RAISED_PERCENT);
/// How much longer it may be found, ns: after a second the kernel has to catch up before a canary wakes, and on a busy host the
/// vCPUs do not all go on at once. Seen under emulation: 3.8 ms, and 8.0 in a bad moment.
const LATE_NS: u64 = 7_000_000;
/// From this length of a stop on canaries wake as late, ns.
pub(super) const LONG_STOP_NS: u64 = 400_000_000;
/// The score of a throttle that was told by one stop: the least there is.
const RAISED_SCORE_PERCENT: u64 = 45;
/// Two stops are enough from this length on, ns: more would take seconds, and little else stops a VM twice for so long
/// with just [`SLICE_NS`] in between.
const PAIR_NS: u64 = LONG_STOP_NS;
/// The score of a throttle that was told by two stops.
const PAIR_SCORE_PERCENT: u64 = 50;

/// The throttle at `now_ns`, from the stops (in any order) of the last [`comb::WINDOW_NS`]; none where it cannot be told.
/// `waits` may be stops or the guest's own doing, and count only where they were due.
pub fn throttle(stops: &[Stop], waits: &[Stop], now_ns: u64) -> Option<Throttle> {
    raised(stops, waits, now_ns)
        .or_else(|| comb::throttle(stops, now_ns))
        .or_else(|| pair(stops, waits, now_ns.saturating_sub(comb::WINDOW_NS)..=now_ns))
}

/// The level of the last long stop, where it went on from a throttle that was less, and nothing after it says otherwise.
fn raised(stops: &[Stop], waits: &[Stop], now_ns: u64) -> Option<Throttle> {
    let past = stops.iter().chain(waits).filter(|stop| stop.end_ns <= now_ns && is_raised(stop.len_ns));
    let last = past.max_by_key(|stop| stop.end_ns)?;
    // The next one is due, and then not all canaries may have told of it yet.
    if now_ns > last.end_ns.saturating_add(RAISED_PERIOD_NS + SLICE_NS + LATE_NS) {
        return None;
    }
    let begin_ns = last.end_ns.saturating_sub(last.len_ns);
    let before: Vec<Stop> = stops.iter().filter(|stop| stop.end_ns <= begin_ns).copied().collect();
    let level = comb::throttle(&before, begin_ns)?;
    let sleep_ns = level.period_ns.saturating_sub(SLICE_NS);
    // What also held up the VM makes a sleep longer, but ends when it does.
    let is_sleep = |stop: &Stop| stop.len_ns.saturating_add(SHORT_NS) >= sleep_ns;
    // Its length says so much that the time it came at may say less: on a host that holds up such sleeps, the last one also
    // may have seemed longer than it was.
    let due = slice_after(LONG_STOP_NS);
    let was_due = before.iter().any(|stop| is_sleep(stop) && due.contains(&(begin_ns - stop.end_ns)));
    let after = stops.iter().filter(|stop| stop.end_ns > last.end_ns && stop.end_ns <= now_ns);
    let goes_on = after.into_iter().any(|stop| is_sleep(stop) && stop.len_ns <= sleep_ns + LONG_NS);
    let is_less = level.law == ThrottleLaw::Qemu && level.percent < RAISED_PERCENT;
    (is_less && was_due && !goes_on).then_some(Throttle {
        percent: RAISED_PERCENT,
        period_ns: RAISED_PERIOD_NS,
        law: ThrottleLaw::Qemu,
        score_percent: RAISED_SCORE_PERCENT,
    })
}

/// Whether a stop is as long as a sleep of [`RAISED_PERCENT`], as a canary sees it.
fn is_raised(len_ns: u64) -> bool {
    let sleep_ns = RAISED_PERIOD_NS - SLICE_NS;
    (sleep_ns - SHORT_NS..=sleep_ns + LATE_NS).contains(&len_ns)
}

/// Whether the last two long stops are alike and have QEMU's slice between them, to the accuracy of a canary.
fn pair(stops: &[Stop], waits: &[Stop], ends_ns: RangeInclusive<u64>) -> Option<Throttle> {
    let is_long = |stop: &&Stop| stop.len_ns >= PAIR_NS && ends_ns.contains(&stop.end_ns);
    let mut long: Vec<(&Stop, bool)> = stops.iter().filter(is_long).map(|stop| (stop, true)).collect();
    long.extend(waits.iter().filter(is_long).map(|wait| (wait, false)));
    long.sort_unstable_by_key(|(stop, _)| std::cmp::Reverse(stop.end_ns));
    let [(last, last_is_stop), (before, is_stop), ..] = long[..] else { return None };
    let period_ns = last.end_ns - before.end_ns;
    let alike = last.len_ns.abs_diff(before.len_ns) <= last.len_ns / 100 * 6;
    let ran_ns = period_ns.checked_sub(last.len_ns)?;
    let percent = 100.0 * (1.0 - SLICE_NS as f64 / period_ns as f64);
    let told = (last_is_stop || is_stop) && alike && is_slice(ran_ns, before.len_ns) && percent < 99.5;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a percent")]
    let percent = percent.round() as u64;
    told.then_some(Throttle { percent, period_ns, law: ThrottleLaw::Qemu, score_percent: PAIR_SCORE_PERCENT })
}

/// Whether a vCPU ran for as long as QEMU lets it, after a stop of `len_ns`.
fn is_slice(ran_ns: u64, len_ns: u64) -> bool {
    slice_after(len_ns).contains(&ran_ns)
}

/// How long a vCPU seems to run where QEMU lets it, after a stop of `len_ns`: canaries wake late from one stop, later from
/// a long one, and see the next one early.
pub(super) fn slice_after(len_ns: u64) -> RangeInclusive<u64> {
    let late_ns = if len_ns < LONG_STOP_NS { LONG_NS } else { LATE_NS };
    SLICE_NS - late_ns..=SLICE_NS + SHORT_NS
}

#[cfg(test)]
mod tests;
