//! Whose fault the gaps of a window were, seen together: those of all canaries, the counters beside them, and what the
//! host knows, if it is asked.
//!
//! In this order: what the canary's own thread was counted (the guest's scheduler, its memory), but where all canaries were
//! away at once and half of them were counted nothing; steal for at least half of what is left over a second or more; gaps of all canaries at once (throttle where the comb fits, blackout where the
//! host says so or a long one is alone, else a pause of the VM); gaps of one vCPU. With one canary the last two
//! cannot be told apart: only comb, a long lone gap and the host tell something, and the rest is unknown.

use super::comb::Stop;
use super::groups::{Group, Groups};
use super::level::throttle;
use super::seen::{HOST_NEAR_NS, HostEventKind, Seen};
use super::sleeps::{self, fits, is_throttled};
use crate::record::{Gap, GapClass, Throttle};

/// Whose fault one gap was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The class.
    pub class: GapClass,
    /// How sure that is, 0 to 1: 0.95 counted by the kernel or said by the host; the comb's score; 0.7 steal, since it
    /// is a sum over the window; 0.5 what was concluded from the shape of one gap; 0 unknown.
    pub confidence: f64,
    /// Whether all canaries were away at once. Never of one canary.
    pub common: bool,
}

/// A gap of at least so much that is alone is a blackout, ns: 20 ms, less what a canary may find too short.
const LONE_NS: u64 = 19_000_000;
/// Canaries that wake with a tick tell how long a stop was to a tick on each side. From so many ticks on that is enough to
/// know a throttle by its sleeps, or a blackout.
const TICKS_ENOUGH: u64 = 5;
/// Steal is counted in ticks of 10 ms: judged over this time at least, ns.
pub const STEAL_SPAN_NS: u64 = 1_000_000_000;
/// Another gap is near a lone one within this time, ns.
const NEAR_NS: u64 = 1_000_000_000;
/// The shortest of the lengths that canaries find of one stop is at most so far from the mean, ns: their period on each side.
const APART_NS: u64 = 2_000_000;

/// What a guest can tell of what was seen: the throttle at its end, none where it cannot be told, and a verdict on each gap,
/// in their order.
pub fn judged(seen: &Seen<'_>) -> (Option<Throttle>, Vec<Verdict>) {
    let groups = Groups::of(seen);
    let throttle = throttle(&stops(seen, &groups), &waits(seen, &groups), seen.end_ns);
    let verdicts = verdicts(seen, &groups, throttle.as_ref());
    (throttle, verdicts)
}

/// A verdict on each gap of what was seen, in their order, by one who does not go by its rhythm: a host knows when it
/// throttled.
#[cfg(any(test, feature = "host"))]
pub fn verdicts_of(seen: &Seen<'_>) -> Vec<Verdict> {
    verdicts(seen, &Groups::of(seen), None)
}

/// Whether canaries tell how long a stop of `len_ns` was, and not just that it was some ticks long.
fn is_resolved(len_ns: u64, seen: &Seen<'_>) -> bool {
    len_ns >= seen.tick_ns.saturating_mul(TICKS_ENOUGH)
}

/// The stops of the whole VM in what was seen that were long enough for the canaries to measure, without what the guest itself did.
///
/// One is as long as the canaries' gaps on average, but for those that something else made longer. Of one canary each gap
/// may be one. A canary that then waited in the guest's own queue was stopped for less.
fn stops(seen: &Seen<'_>, groups: &Groups<'_>) -> Vec<Stop> {
    let stop = |group: &Group| {
        let (mut end_ns, mut sum_ns, mut least_ns, mut count) = (u64::MAX, 0u64, u64::MAX, 0);
        for stop in groups.left(group).map(|index| net(&seen.gaps[index])) {
            end_ns = end_ns.min(stop.end_ns);
            sum_ns = sum_ns.saturating_add(stop.len_ns);
            least_ns = least_ns.min(stop.len_ns);
            count += 1;
        }
        let mean_ns = sum_ns.checked_div(count)?;
        let len_ns = mean_ns.min(least_ns.saturating_add(APART_NS));
        (len_ns > 0 && is_resolved(len_ns, seen)).then_some(Stop { end_ns, len_ns })
    };
    groups.iter().filter(|group| groups.is_stop(group)).filter_map(stop).collect()
}

/// What may be a stop, and is one where one was due.
///
/// Of several canaries, what some of them told of just now and others may have yet to. Of the only one, what it waited in the
/// guest's own queue, or seems to: one that was ready to run when the VM was stopped is counted the whole stop as a wait,
/// and no other canary was there to say otherwise.
fn waits(seen: &Seen<'_>, groups: &Groups<'_>) -> Vec<Stop> {
    if seen.canaries != 1 {
        return seen.pending.iter().map(net).filter(|stop| is_resolved(stop.len_ns, seen)).collect();
    }
    let of_queue = |index: &usize| groups.explained(*index) == Some(GapClass::GuestSched);
    let stop = |gap: &Gap| Stop { end_ns: gap.end_ns(), len_ns: gap.len_ns };
    let waits = (0..seen.gaps.len()).filter(of_queue).map(|index| stop(&seen.gaps[index]));
    waits.filter(|stop| is_resolved(stop.len_ns, seen)).collect()
}

/// A verdict on each gap, given the throttle that was found.
fn verdicts(seen: &Seen<'_>, groups: &Groups<'_>, throttle: Option<&Throttle>) -> Vec<Verdict> {
    let unknown = Verdict { class: GapClass::Unknown, confidence: 0.0, common: false };
    let mut verdicts = vec![unknown; seen.gaps.len()];
    let mut left_ns = 0u64;
    for (index, gap) in seen.gaps.iter().enumerate() {
        if let Some(class) = groups.explained(index) {
            verdicts[index] = Verdict { class, confidence: 0.95, common: false };
        } else if gap.end_ns() > seen.end_ns.saturating_sub(seen.length_ns) && gap.start_ns < seen.end_ns {
            left_ns = left_ns.saturating_add(gap.len_ns);
        }
    }
    let stolen = seen.length_ns >= STEAL_SPAN_NS
        && seen.steal_ns.is_some_and(|steal_ns| steal_ns > 0 && steal_ns >= left_ns.div_ceil(2));
    for group in groups.iter() {
        let Some(first) = group.first_left().map(|index| &seen.gaps[index]) else { continue };
        let is_stop = groups.is_stop(group);
        let (class, confidence) = if stolen {
            (GapClass::HostSteal, 0.7)
        } else if is_stop {
            whole(first, (groups, group), seen, throttle)
        } else {
            single(first, seen)
        };
        let verdict = Verdict { class, confidence, common: seen.canaries > 1 && is_stop };
        let takes_own = is_stop && !stolen;
        let theirs = groups.members(group).filter(|index| takes_own || groups.explained(*index).is_none());
        theirs.for_each(|index| verdicts[index] = verdict);
    }
    if seen.canaries == 1 {
        let score = throttle.map_or(50, |throttle| throttle.score_percent.min(100));
        let again = Verdict { class: GapClass::Throttle, confidence: score as f64 / 100.0, common: false };
        let waited = |index: &usize| verdicts[*index].class == GapClass::GuestSched;
        let waits: Vec<usize> = (0..verdicts.len()).filter(waited).collect();
        sleeps::among(&waits, seen, throttle).for_each(|index| verdicts[index] = again);
    }
    verdicts
}

/// Of a stop of the whole VM, or of a gap of the only canary, in its group.
fn whole(
    gap: &Gap,
    (groups, group): (&Groups<'_>, &Group),
    seen: &Seen<'_>,
    throttle: Option<&Throttle>,
) -> (GapClass, f64) {
    if let Some(throttle) = throttle
        && fits(gap.len_ns, throttle, seen.tick_ns)
    {
        return (GapClass::Throttle, throttle.score_percent.min(100) as f64 / 100.0);
    }
    if is_throttled(gap, seen) {
        (GapClass::Throttle, 0.95)
    } else if seen.was_setting_up(gap) {
        (GapClass::Setup, 0.95)
    } else if was_stopped(gap, seen) {
        (GapClass::Blackout, 0.95)
    } else if !seen.is_hosted
        && gap.len_ns >= LONE_NS
        && is_resolved(gap.len_ns, seen)
        && is_alone(gap, (groups, group), seen)
    {
        (GapClass::Blackout, 0.5)
    } else if seen.canaries < 2 {
        single(gap, seen)
    } else if seen.is_during(HostEventKind::PostCopy, gap)
        && groups.members(group).any(|index| waited_for(&seen.gaps[index], seen) == Some(true))
    {
        // One of them waited for a page that was missing, and the others with it.
        (GapClass::PostcopyFault, 0.5)
    } else {
        (GapClass::VmPause, 0.5)
    }
}

/// Whether the gap lies for the most part where the host had stopped the VM.
fn was_stopped(gap: &Gap, seen: &Seen<'_>) -> bool {
    let mut stops = seen.events.iter().filter(|event| event.kind == HostEventKind::Stopped);
    gap.len_ns >= HOST_NEAR_NS
        && stops.any(|stop| stop.overlap_ns(gap, HOST_NEAR_NS) >= gap.len_ns.div_ceil(2))
}

/// Whether a writer on that vCPU waited then for a page it had not written since the last mark; none where no visit was
/// told that fills half of the gap.
fn waited_for(gap: &Gap, seen: &Seen<'_>) -> Option<bool> {
    let inside = seen.stalls.iter().filter(|stall| {
        let end = gap.end_ns().min(stall.end_ns());
        let overlap_ns = end.saturating_sub(gap.start_ns.max(stall.start_ns));
        stall.cpu == gap.cpu && overlap_ns > 0 && overlap_ns >= gap.len_ns.div_ceil(2).min(stall.len_ns)
    });
    inside.map(|stall| stall.earlier == 0).reduce(|one, other| one || other)
}

/// Of a gap that not all canaries had. With one canary only the host can say whose it was.
fn single(gap: &Gap, seen: &Seen<'_>) -> (GapClass, f64) {
    if seen.was_setting_up(gap) {
        return (GapClass::Setup, 0.95);
    }
    if seen.is_during(HostEventKind::PostCopy, gap) {
        match waited_for(gap, seen) {
            Some(true) => return (GapClass::PostcopyFault, 0.95),
            // A page of the kernel or of this program, or one whose history was not told.
            None => return (GapClass::PostcopyFault, 0.5),
            Some(false) => {}
        }
    }
    if seen.is_during(HostEventKind::DirtyLimit, gap) {
        return (GapClass::DirtyLimit, 0.5);
    }
    if seen.canaries > 1 { (GapClass::HostOther, 0.5) } else { (GapClass::Unknown, 0.0) }
}

/// Whether no gap of another group within a second is half as long.
fn is_alone(gap: &Gap, (groups, group): (&Groups<'_>, &Group), seen: &Seen<'_>) -> bool {
    let is_near = |other: &Gap| {
        other.start_ns <= gap.end_ns().saturating_add(NEAR_NS)
            && other.end_ns().saturating_add(NEAR_NS) >= gap.start_ns
    };
    let rivals =
        seen.gaps.iter().enumerate().filter(|(_, other)| other.len_ns >= gap.len_ns / 2 && is_near(other));
    rivals.into_iter().all(|(index, _)| groups.members(group).any(|member| member == index))
}

/// A gap without the wait in the guest's own queue that came after it.
fn net(gap: &Gap) -> Stop {
    let waited_ns = gap.features.run_delay_ns.unwrap_or(0).min(gap.len_ns);
    Stop { end_ns: gap.end_ns().saturating_sub(waited_ns), len_ns: gap.len_ns - waited_ns }
}

#[cfg(test)]
mod tests;
