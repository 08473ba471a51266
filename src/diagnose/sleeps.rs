//! Whether a gap is one of a throttle's sleeps.

use super::comb::SLICE_NS;
use super::level::{LONG_STOP_NS, slice_after};
use super::seen::{HostEventKind, Seen};
use crate::record::{Gap, Throttle, ThrottleLaw};
use std::ops::RangeInclusive;

/// The host asks ten times a second how much is throttled, and the change comes a little earlier or later, ns.
const LEVEL_NEAR_NS: u64 = 150_000_000;
/// A canary sees each sleep of a throttle that lasts longer, ns.
const LEAST_SLEEP_NS: u64 = 2_000_000;

/// Whether a stop of `len_ns`, as canaries saw it that wake with ticks of `tick_ns`, is one of a throttle's sleeps.
pub(super) fn fits(len_ns: u64, throttle: &Throttle, tick_ns: u64) -> bool {
    let sleep_ns = match throttle.law {
        ThrottleLaw::Qemu => throttle.period_ns.saturating_sub(SLICE_NS),
        ThrottleLaw::Unknown => throttle.period_ns / 100 * throttle.percent.min(100),
    };
    // Half a canary's period and the latency of a wake; and more where the vCPU had something else to do at first.
    let share_ns = (sleep_ns / 10).max(tick_ns);
    let (less_ns, more_ns) = (share_ns.max(1_200_000), share_ns.max(2_200_000));
    (sleep_ns.saturating_sub(less_ns)..=sleep_ns.saturating_add(more_ns)).contains(&len_ns)
}

/// Whether the host throttled about then by a percentage whose sleeps are as long.
pub(super) fn is_throttled(gap: &Gap, seen: &Seen<'_>) -> bool {
    seen.events.iter().any(|event| {
        let HostEventKind::Throttled(percent @ 1..=99) = event.kind else { return false };
        let period_ns = SLICE_NS * 100 / (100 - percent);
        let throttle = Throttle { percent, period_ns, law: ThrottleLaw::Qemu, score_percent: 100 };
        event.overlap_ns(gap, LEVEL_NEAR_NS) > 0 && fits(gap.len_ns, &throttle, seen.tick_ns)
    })
}

/// Of `waits`, in which the only canary seems to have been in the guest's own queue, those that are a throttle's sleeps:
/// as long as one, and come when it is due, one slice after another one, or one slice before.
pub(super) fn among<'a>(
    waits: &'a [usize],
    seen: &'a Seen<'_>,
    throttle: Option<&'a Throttle>,
) -> impl Iterator<Item = usize> + 'a {
    let sleeps = Sleeps::of(seen.gaps);
    let fits = move |gap: &Gap| {
        throttle.is_some_and(|throttle| fits(gap.len_ns, throttle, seen.tick_ns)) || is_throttled(gap, seen)
    };
    waits.iter().copied().filter(move |index| {
        let gap = &seen.gaps[*index];
        fits(gap) && (sleeps.any_before(gap) || sleeps.any_after(gap))
    })
}

/// Gaps that may be sleeps, so ordered that one is found by its time.
struct Sleeps {
    starts: Vec<u64>,
    /// Of all, and of those after which a canary wakes later.
    ends: Vec<u64>,
    long_ends: Vec<u64>,
}

impl Sleeps {
    fn of(gaps: &[Gap]) -> Self {
        let times = |least_ns, time: fn(&Gap) -> u64| {
            let mut times: Vec<u64> = gaps.iter().filter(|gap| gap.len_ns >= least_ns).map(time).collect();
            times.sort_unstable();
            times
        };
        let starts = times(LEAST_SLEEP_NS, |gap| gap.start_ns);
        Self { starts, ends: times(LEAST_SLEEP_NS, Gap::end_ns), long_ends: times(LONG_STOP_NS, Gap::end_ns) }
    }

    /// Whether one ended a slice before `gap` began.
    fn any_before(&self, gap: &Gap) -> bool {
        let ends = |len_ns| {
            let (least_ns, most_ns) = slice_after(len_ns).into_inner();
            gap.start_ns.saturating_sub(most_ns)..=gap.start_ns.saturating_sub(least_ns)
        };
        has_any(&self.ends, &ends(0)) || has_any(&self.long_ends, &ends(LONG_STOP_NS))
    }

    /// Whether one began a slice after `gap` ended.
    fn any_after(&self, gap: &Gap) -> bool {
        let (least_ns, most_ns) = slice_after(gap.len_ns).into_inner();
        has_any(&self.starts, &(gap.end_ns().saturating_add(least_ns)..=gap.end_ns().saturating_add(most_ns)))
    }
}

/// Whether one of `times`, which ascend, is in `range`.
fn has_any(times: &[u64], range: &RangeInclusive<u64>) -> bool {
    let next = times.partition_point(|time| time < range.start());
    times.get(next).is_some_and(|time| time <= range.end())
}
