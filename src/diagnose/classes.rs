//! Whose fault the gaps of a window were, seen together: those of all canaries, the counters beside them, and what the
//! host knows, if it is asked.
//!
//! In this order: what the canary's own thread was counted (the guest's scheduler, its memory), but where all canaries were
//! away at once and half of them were counted nothing; steal for at least half of what is left over a second or more; gaps of all canaries at once (throttle where the comb fits, blackout where the
//! host says so or a long one is alone, else a pause of the VM); gaps of one vCPU. With one canary the last two
//! cannot be told apart: only comb, a long lone gap and the host tell something, and the rest is unknown.

use super::comb::{SLICE_NS, Stop};
use super::features::classify;
use super::level::{is_slice, throttle};
use crate::record::{Gap, GapClass, Stall, Throttle, ThrottleLaw};

/// What is known of a span of time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// When it ends, CLOCK_MONOTONIC.
    pub end_ns: u64,
    /// Over which time steal was counted; gaps that ended before it are not held against it.
    pub length_ns: u64,
    /// Canaries that watched.
    pub canaries: usize,
    /// Their gaps; the class in them is not looked at.
    pub gaps: &'a [Gap],
    /// Steal in it, sum over vCPUs; none where the kernel does not count it.
    pub steal_ns: Option<u64>,
    /// Visits that took too long, as far as they were told.
    pub stalls: &'a [Stall],
    /// What the host knows; empty in the guest.
    pub events: &'a [HostEvent],
    /// Whether the host looked on: what is not among the events then did not happen.
    pub is_hosted: bool,
    /// Whether the canaries run under SCHED_FIFO: then no other task of the guest can have kept them waiting for long.
    pub realtime: bool,
}

/// Something the host knows, on the guest's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostEvent {
    /// What it was.
    pub kind: HostEventKind,
    /// When it began.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
}

/// What the host can tell of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostEventKind {
    /// The VM was stopped.
    Stopped,
    /// All vCPUs were throttled by so many percent, by QEMU's law.
    Throttled(u64),
    /// Pages were still on the source.
    PostCopy,
    /// vCPUs that dirty too much were made to sleep.
    DirtyLimit,
}

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
/// Steal is counted in ticks of 10 ms: judged over this time at least, ns.
pub const STEAL_SPAN_NS: u64 = 1_000_000_000;
/// Another gap is near a lone one within this time, ns.
const NEAR_NS: u64 = 1_000_000_000;
/// The host's stamps and the guest's clock are this near, ns.
const HOST_NEAR_NS: u64 = 5_000_000;
/// The host asks ten times a second how much is throttled, and the change comes a little earlier or later, ns.
const LEVEL_NEAR_NS: u64 = 150_000_000;
/// The shortest of the lengths that canaries find of one stop is at most so far from the mean, ns: their period on each side.
const APART_NS: u64 = 2_000_000;
/// A canary sees each sleep of a throttle that lasts longer, ns.
const LEAST_SLEEP_NS: u64 = 2_000_000;
/// No guest has more canaries; what one says bounds no work.
const CANARIES_CEILING: usize = 4096;

/// The stops of the whole VM in what was seen, without what the guest itself did, for [`throttle`].
///
/// It is as long as the canaries' gaps on average, but for those that something else made longer. Of one canary each gap
/// may be one. A canary that then waited in the guest's own queue was stopped for less.
pub fn stops(seen: &Seen<'_>) -> Vec<Stop> {
    let stop = |group: &Group| {
        let nets = || group.left.iter().map(|index| net(&seen.gaps[*index]));
        let end_ns = nets().map(|stop| stop.end_ns).min().unwrap_or(0);
        let sum_ns = nets().fold(0u64, |sum, stop| sum.saturating_add(stop.len_ns));
        let least_ns = nets().map(|stop| stop.len_ns).min().unwrap_or(0);
        let mean_ns = sum_ns / group.left.len() as u64;
        Stop { end_ns, len_ns: mean_ns.min(least_ns.saturating_add(APART_NS)) }
    };
    let groups = groups(seen);
    groups.iter().filter(|group| group.is_stop(seen)).map(stop).filter(|stop| stop.len_ns > 0).collect()
}

/// The throttle at the end of what was seen; none where it cannot be told.
pub fn throttle_of(seen: &Seen<'_>) -> Option<Throttle> {
    throttle(&stops(seen), &waits(seen), seen.end_ns)
}

/// What the only canary waited in the guest's own queue, or seems to: one that was ready to run when the VM was stopped is
/// counted the whole stop as a wait, and no other canary was there to say otherwise.
fn waits(seen: &Seen<'_>) -> Vec<Stop> {
    let stop = |gap: &Gap| Stop { end_ns: gap.end_ns(), len_ns: gap.len_ns };
    let of_queue = |gap: &&Gap| explained(gap, seen) == Some(GapClass::GuestSched);
    if seen.canaries == 1 { seen.gaps.iter().filter(of_queue).map(stop).collect() } else { Vec::new() }
}

/// A verdict on each gap, in their order, given the throttle that [`throttle_of`] found.
pub fn verdicts(seen: &Seen<'_>, throttle: Option<&Throttle>) -> Vec<Verdict> {
    let unknown = Verdict { class: GapClass::Unknown, confidence: 0.0, common: false };
    let mut verdicts = vec![unknown; seen.gaps.len()];
    let mut left_ns = 0u64;
    for (verdict, gap) in verdicts.iter_mut().zip(seen.gaps) {
        if let Some(class) = explained(gap, seen) {
            verdict.class = class;
            verdict.confidence = 0.95;
        } else if gap.end_ns() > seen.end_ns.saturating_sub(seen.length_ns) && gap.start_ns < seen.end_ns {
            left_ns = left_ns.saturating_add(gap.len_ns);
        }
    }
    let stolen = seen.length_ns >= STEAL_SPAN_NS
        && seen.steal_ns.is_some_and(|steal_ns| steal_ns > 0 && steal_ns >= left_ns.div_ceil(2));
    for group in groups(seen) {
        let Some(first) = group.left.first() else { continue };
        let is_stop = group.is_stop(seen);
        let (class, confidence) = if stolen {
            (GapClass::HostSteal, 0.7)
        } else if is_stop {
            whole(&group, seen, throttle)
        } else {
            single(&seen.gaps[*first], seen)
        };
        let verdict = Verdict { class, confidence, common: seen.canaries > 1 && is_stop };
        group.left.iter().for_each(|index| verdicts[*index] = verdict);
        if is_stop && !stolen {
            group.own.iter().for_each(|index| verdicts[*index] = verdict);
        }
    }
    if seen.canaries == 1 {
        sleeps_again(seen, throttle, &mut verdicts);
    }
    verdicts
}

/// Of the only canary, what looks like a wait in the guest's own queue is a throttle's sleep where it is as long as one
/// and comes when it is due: one slice after another one, or one slice before.
fn sleeps_again(seen: &Seen<'_>, throttle: Option<&Throttle>, verdicts: &mut [Verdict]) {
    let fits =
        |gap: &Gap| throttle.is_some_and(|throttle| fits(gap.len_ns, throttle)) || is_throttled(gap, seen);
    for (index, gap) in seen.gaps.iter().enumerate() {
        let is_one = verdicts[index].class == GapClass::GuestSched && fits(gap);
        let is_after = |one: &Gap, next: &Gap| {
            let ran_ns = next.start_ns.checked_sub(one.end_ns());
            ran_ns.is_some_and(|ran_ns| is_slice(ran_ns, one.len_ns))
        };
        let beside =
            |other: &Gap| other.len_ns >= LEAST_SLEEP_NS && (is_after(other, gap) || is_after(gap, other));
        if is_one && seen.gaps.iter().any(beside) {
            let score = throttle.map_or(50, |throttle| throttle.score_percent.min(100));
            verdicts[index] =
                Verdict { class: GapClass::Throttle, confidence: score as f64 / 100.0, common: false };
        }
    }
}

/// What the guest's own counters explain of a gap.
///
/// In post-copy the kernel itself waits for pages, and whoever is in the run queue then waits with it: the run delay of a
/// canary that nothing in the guest outranks says nothing.
fn explained(gap: &Gap, seen: &Seen<'_>) -> Option<GapClass> {
    let class = classify(gap.len_ns, &gap.features);
    let is_forced =
        class == GapClass::GuestSched && seen.realtime && is_during(HostEventKind::PostCopy, gap, seen);
    (class != GapClass::Unknown && !is_forced).then_some(class)
}

/// Of a stop of the whole VM, or of a gap of the only canary.
fn whole(group: &Group, seen: &Seen<'_>, throttle: Option<&Throttle>) -> (GapClass, f64) {
    let gap = &seen.gaps[group.left[0]];
    if let Some(throttle) = throttle
        && fits(gap.len_ns, throttle)
    {
        return (GapClass::Throttle, throttle.score_percent.min(100) as f64 / 100.0);
    }
    if is_throttled(gap, seen) {
        (GapClass::Throttle, 0.95)
    } else if was_stopped(gap, seen) {
        (GapClass::Blackout, 0.95)
    } else if !seen.is_hosted && gap.len_ns >= LONE_NS && is_alone(group, seen) {
        (GapClass::Blackout, 0.5)
    } else if seen.canaries < 2 {
        single(gap, seen)
    } else if is_during(HostEventKind::PostCopy, gap, seen)
        && group.members().any(|index| waited_for(&seen.gaps[*index], seen) == Some(true))
    {
        // One of them waited for a page that was missing, and the others with it.
        (GapClass::PostcopyFault, 0.5)
    } else {
        (GapClass::VmPause, 0.5)
    }
}

/// Whether the host throttled about then by a percentage whose sleeps are as long.
fn is_throttled(gap: &Gap, seen: &Seen<'_>) -> bool {
    seen.events.iter().any(|event| {
        let HostEventKind::Throttled(percent @ 1..=99) = event.kind else { return false };
        let period_ns = SLICE_NS * 100 / (100 - percent);
        let throttle = Throttle { percent, period_ns, law: ThrottleLaw::Qemu, score_percent: 100 };
        overlap_ns(gap, event, LEVEL_NEAR_NS) > 0 && fits(gap.len_ns, &throttle)
    })
}

/// Whether the gap lies for the most part where the host had stopped the VM.
fn was_stopped(gap: &Gap, seen: &Seen<'_>) -> bool {
    let mut stops = seen.events.iter().filter(|event| event.kind == HostEventKind::Stopped);
    gap.len_ns >= HOST_NEAR_NS
        && stops.any(|stop| overlap_ns(gap, stop, HOST_NEAR_NS) >= gap.len_ns.div_ceil(2))
}

/// How long both lasted together, the event being taken `near_ns` longer on each side.
fn overlap_ns(gap: &Gap, event: &HostEvent, near_ns: u64) -> u64 {
    let end = gap.end_ns().min(event.end_ns.saturating_add(near_ns));
    end.saturating_sub(gap.start_ns.max(event.start_ns.saturating_sub(near_ns)))
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
    if is_during(HostEventKind::PostCopy, gap, seen) {
        match waited_for(gap, seen) {
            Some(true) => return (GapClass::PostcopyFault, 0.95),
            // A page of the kernel or of this program, or one whose history was not told.
            None => return (GapClass::PostcopyFault, 0.5),
            Some(false) => {}
        }
    }
    if is_during(HostEventKind::DirtyLimit, gap, seen) {
        return (GapClass::DirtyLimit, 0.5);
    }
    if seen.canaries > 1 { (GapClass::HostOther, 0.5) } else { (GapClass::Unknown, 0.0) }
}

/// Whether a stop of `len_ns` is one of a throttle's sleeps.
fn fits(len_ns: u64, throttle: &Throttle) -> bool {
    let sleep_ns = match throttle.law {
        ThrottleLaw::Qemu => throttle.period_ns.saturating_sub(SLICE_NS),
        ThrottleLaw::Unknown => throttle.period_ns / 100 * throttle.percent.min(100),
    };
    // Half a canary's period and the latency of a wake; and more where the vCPU had something else to do at first.
    let (less_ns, more_ns) = ((sleep_ns / 10).max(1_200_000), (sleep_ns / 10).max(2_200_000));
    (sleep_ns.saturating_sub(less_ns)..=sleep_ns.saturating_add(more_ns)).contains(&len_ns)
}

fn is_during(kind: HostEventKind, gap: &Gap, seen: &Seen<'_>) -> bool {
    seen.events.iter().any(|event| event.kind == kind && overlap_ns(gap, event, 0) > 0)
}

/// Whether no other gap within a second is half as long.
fn is_alone(group: &Group, seen: &Seen<'_>) -> bool {
    let gap = &seen.gaps[group.left[0]];
    let others = seen.gaps.iter().enumerate().filter(|(index, _)| !group.has(*index));
    others.into_iter().all(|(_, other)| {
        let near = other.start_ns <= gap.end_ns().saturating_add(NEAR_NS)
            && other.end_ns().saturating_add(NEAR_NS) >= gap.start_ns;
        !near || other.len_ns < gap.len_ns / 2
    })
}

/// Gaps of different canaries that are one: they overlap by 80 % of the shorter and begin within 1 ms or 5 %.
struct Group {
    /// Those that the guest's own counters explain.
    own: Vec<usize>,
    /// The others, the earliest first.
    left: Vec<usize>,
}

impl Group {
    fn members(&self) -> impl Iterator<Item = &usize> {
        self.left.iter().chain(&self.own)
    }

    fn has(&self, index: usize) -> bool {
        self.members().any(|member| *member == index)
    }

    /// Whether all CPUs were away at once, and the guest did not do it: at least 90 % of the canaries are in the group,
    /// and half of them waited for nothing of the guest's. A canary that was ready to run when the VM was stopped seems
    /// to have waited for another task; but no task holds all CPUs from the same moment on, and up to the same.
    fn is_stop(&self, seen: &Seen<'_>) -> bool {
        let count = self.members().count();
        let whole = count.saturating_mul(10) >= seen.canaries.saturating_mul(9) && seen.canaries > 0;
        whole && !self.left.is_empty() && self.own.len() <= self.left.len()
    }
}

/// All gaps, in groups.
fn groups(seen: &Seen<'_>) -> Vec<Group> {
    let mut order: Vec<usize> = (0..seen.gaps.len()).collect();
    order.sort_by_key(|index| seen.gaps[*index].start_ns);
    let mut groups: Vec<(usize, Group)> = Vec::new();
    for index in order {
        let gap = &seen.gaps[index];
        // Later groups begin later, so only the last few can be near.
        let mut recent = groups.iter_mut().rev().take(seen.canaries.clamp(1, CANARIES_CEILING));
        let joins = |(first, group): &&mut (usize, Group)| {
            let is_other = group.members().all(|member| seen.gaps[*member].cpu != gap.cpu);
            is_other && is_one(&seen.gaps[*first], gap)
        };
        let is_own = explained(gap, seen).is_some();
        let (own, left) = if is_own { (vec![index], Vec::new()) } else { (Vec::new(), vec![index]) };
        match recent.find(joins) {
            Some((_, group)) => {
                group.own.extend(own);
                group.left.extend(left);
            }
            None => groups.push((index, Group { own, left })),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn is_one(one: &Gap, other: &Gap) -> bool {
    let overlap_ns = one.end_ns().min(other.end_ns()).saturating_sub(one.start_ns.max(other.start_ns));
    let (shorter_ns, longer_ns) = (one.len_ns.min(other.len_ns), one.len_ns.max(other.len_ns));
    let skew_ns = one.start_ns.abs_diff(other.start_ns);
    overlap_ns >= shorter_ns - shorter_ns / 5 && skew_ns <= (longer_ns / 20).max(1_000_000)
}

/// A gap without the wait in the guest's own queue that came after it.
fn net(gap: &Gap) -> Stop {
    let waited_ns = gap.features.run_delay_ns.unwrap_or(0).min(gap.len_ns);
    Stop { end_ns: gap.end_ns().saturating_sub(waited_ns), len_ns: gap.len_ns - waited_ns }
}

#[cfg(test)]
mod tests;
