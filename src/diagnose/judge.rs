//! Whose fault each gap of a span was: from its own counters, then from what else happened at the same time.

use super::evidence::{Counted, Evidence, HostEventKind, LongVisit};
use super::pause::{Pause, may_be_the_hypervisors, order};
use super::throttle::{Comb, LONG_WINDOW_NS, WINDOW_NS, comb};
use super::together::{COMMON_PERCENT, together_percent};
use super::visits::{are_periodic_in_writes, around, falls_into_visits, was_missing};
use crate::record::{Gap, GapClass, GapFeatures, Throttle};

/// A gap of all vCPUs of this length or more, with no other near it, is a blackout.
const LONE_NS: u64 = 20_000_000;
/// So near to a gap an event of the host, or another gap, belongs to it.
const NEAR_NS: u64 = 1_000_000_000;
/// Pauses of one event end nearer to each other.
const TOGETHER_NS: u64 = 5_000_000;

/// A class, and how sure it is, 0 to 100.
type Verdict = (GapClass, u32);

/// The class of one gap of `len_ns`, as far as its own features tell.
///
/// Another task of the guest ran for at least half of it: the guest's scheduler. The canary's own thread took page
/// faults: the guest's memory management. Everything else needs more than one gap to be told: unknown.
pub fn classify(len_ns: u64, features: &GapFeatures) -> GapClass {
    let waited_ns = features.run_delay_ns.unwrap_or(0);
    if len_ns > 0 && waited_ns >= len_ns.div_ceil(2) {
        GapClass::GuestSched
    } else if features.minflt > 0 || features.majflt > 0 {
        GapClass::GuestFault
    } else {
        GapClass::Unknown
    }
}

/// Judges the gaps in `new`: sets the class of each and how sure that is.
///
/// `known` are those of the 4 s before, judged earlier: they show what repeats, and stay as they are. Both are ordered
/// by their ends. Returns how hard the hypervisor throttled at `until_ns`; none when that cannot be told.
pub fn judge(known: &[Gap], new: &mut [Gap], until_ns: u64, evidence: &Evidence<'_>) -> Option<Throttle> {
    for gap in new.iter_mut() {
        let (class, confidence) = alone(gap, evidence.counted);
        (gap.class, gap.confidence) = (class, Some(confidence));
    }
    if let Some(counted) = evidence.counted {
        counted.steal_ns.iter().for_each(|steal| blame_steal(known, new, until_ns, *steal));
    }
    let open = known.iter().chain(new.iter()).filter(|gap| may_be_the_hypervisors(gap.class));
    let mut pauses: Vec<Pause> = open.map(Pause::of).collect();
    order(&mut pauses);
    let scene = Scene { comb: comb(&pauses, until_ns, &evidence.sight), pauses: &pauses, evidence };
    for gap in new.iter_mut().filter(|gap| gap.class == GapClass::Unknown) {
        let (class, confidence) = scene.verdict(&Pause::of(gap));
        (gap.class, gap.confidence) = (class, Some(confidence));
    }
    scene.comb.map(|comb| comb.throttle)
}

/// What a gap's own features say, and how surely: the share of it spent in the run queue; for a fault more when the
/// kernel's memory management was at work in the span.
fn alone(gap: &Gap, counted: Option<&Counted>) -> Verdict {
    // Whoever looked at the counters has judged by them; who has none does not know better.
    if counted.is_none() && gap.class == GapClass::HostSteal {
        return (gap.class, gap.confidence.unwrap_or(50));
    }
    let class = classify(gap.len_ns, &gap.features);
    let worked = counted.is_some_and(|counted| counted.memory.any());
    let confidence = match class {
        GapClass::GuestSched => percent_of(gap.features.run_delay_ns.unwrap_or(0), gap.len_ns),
        GapClass::GuestFault if worked || gap.features.majflt > 0 => 95,
        GapClass::GuestFault => 70,
        _ => 0,
    };
    (class, confidence)
}

/// The host ran something else on a vCPU's CPU for at least half of what is not explained otherwise.
///
/// Steal comes in ticks, so it is held against all gaps of the last second together. A throttle, a fault of post-copy
/// and a stop are no steal: a vCPU that sleeps does not wait for a CPU.
fn blame_steal(known: &[Gap], new: &mut [Gap], until_ns: u64, (cpu, steal_ns): (u32, u64)) {
    let from_ns = until_ns.saturating_sub(WINDOW_NS);
    let unexplained = |gap: &&Gap| {
        let in_the_guest = matches!(gap.class, GapClass::GuestSched | GapClass::GuestFault);
        gap.cpu == cpu && !in_the_guest && end_ns(gap) > from_ns && end_ns(gap) <= until_ns
    };
    let lengths = known.iter().chain(new.iter()).filter(unexplained).map(|gap| gap.len_ns);
    let lost_ns = lengths.fold(0, u64::saturating_add);
    if steal_ns == 0 || steal_ns < lost_ns.div_ceil(2) {
        return;
    }
    for gap in new.iter_mut().filter(|gap| gap.cpu == cpu && gap.class == GapClass::Unknown) {
        (gap.class, gap.confidence) = (GapClass::HostSteal, Some(percent_of(steal_ns, lost_ns)));
    }
}

fn end_ns(gap: &Gap) -> u64 {
    gap.start_ns.saturating_add(gap.len_ns)
}

/// Everything that a gap may have to do with.
struct Scene<'a> {
    comb: Option<Comb>,
    /// What may be the hypervisor's doing, in order of their ends.
    pauses: &'a [Pause],
    evidence: &'a Evidence<'a>,
}

impl Scene<'_> {
    fn verdict(&self, pause: &Pause) -> Verdict {
        if let Some(comb) = self.comb.filter(|comb| comb.covers(pause)) {
            return (GapClass::Throttle, comb.throttle.score);
        }
        if self.host_stopped_near(pause) && self.together(pause).is_none_or(|share| share >= COMMON_PERCENT) {
            return (GapClass::Blackout, 95);
        }
        match self.together(pause) {
            Some(share) if share >= COMMON_PERCENT && self.is_lone(pause) => (GapClass::Blackout, 60),
            Some(share) if share >= COMMON_PERCENT => (GapClass::VmPause, 60),
            Some(share) => self.single(pause, share),
            None => self.only_vcpu(pause),
        }
    }

    fn together(&self, pause: &Pause) -> Option<u64> {
        together_percent(pause, self.near(pause, TOGETHER_NS), &self.evidence.sight)
    }

    /// Pauses that end within `reach_ns` and this one's own length of its end.
    fn near(&self, pause: &Pause, reach_ns: u64) -> &[Pause] {
        let reach_ns = reach_ns.saturating_add(pause.len_ns);
        let (from_ns, to_ns) =
            (pause.end_ns().saturating_sub(reach_ns), pause.end_ns().saturating_add(reach_ns));
        let first = self.pauses.partition_point(|other| other.end_ns() < from_ns);
        let end = self.pauses.partition_point(|other| other.end_ns() <= to_ns);
        self.pauses.get(first..end).unwrap_or(&[])
    }

    /// The host stopped the VM or let it run, or its clock stepped, within a second of the gap.
    fn host_stopped_near(&self, pause: &Pause) -> bool {
        let (from_ns, to_ns) =
            (pause.start_ns.saturating_sub(NEAR_NS), pause.end_ns().saturating_add(NEAR_NS));
        self.evidence.host.iter().any(|event| {
            let stops = !matches!(event.kind, HostEventKind::PostcopyEnds | HostEventKind::PostcopyBegins);
            stops && (from_ns..=to_ns).contains(&event.at_ns)
        })
    }

    /// Long, as far as a canary can tell, and no other long one of the same vCPU near it.
    fn is_lone(&self, pause: &Pause) -> bool {
        let least_ns = LONE_NS.saturating_sub(self.evidence.sight.period_ns / 2);
        let long = |other: &&Pause| other.cpu == pause.cpu && other.len_ns >= least_ns;
        pause.len_ns >= least_ns && self.near(pause, NEAR_NS).iter().filter(long).count() <= 1
    }

    /// One vCPU alone, or a few of many: `share` percent of them.
    fn single(&self, pause: &Pause, share: u64) -> Verdict {
        let visit = around(pause, self.evidence.visits);
        if visit.is_some_and(|visit| was_missing(visit, self.evidence)) {
            (GapClass::PostcopyFault, 90)
        } else if visit.is_some() && self.is_dirty_limit(pause) {
            (GapClass::DirtyLimit, 70)
        } else {
            (GapClass::HostOther, u32::try_from(100u64.saturating_sub(share)).unwrap_or(0).min(60))
        }
    }

    /// Gaps of this vCPU come after equal amounts of writes, and a vCPU without a writer has none.
    fn is_dirty_limit(&self, pause: &Pause) -> bool {
        let own: Vec<LongVisit> =
            self.evidence.visits.iter().filter(|visit| visit.cpu == pause.cpu).copied().collect();
        let writes = |cpu| self.evidence.visits.iter().any(|visit| visit.cpu == cpu);
        are_periodic_in_writes(&own) && self.pauses.iter().all(|other| writes(other.cpu))
    }

    /// The only vCPU: nothing can be compared. A store of a page that was missing is a fault of post-copy when gaps
    /// fall into stores more often than chance has it; all else stays unknown.
    fn only_vcpu(&self, pause: &Pause) -> Verdict {
        let visits = self.evidence.visits;
        let missing = around(pause, visits).is_some_and(|visit| was_missing(visit, self.evidence));
        let gaps = self.pauses.len() as u64;
        let in_visits = self.pauses.iter().filter(|pause| around(pause, visits).is_some()).count() as u64;
        let odds = self.evidence.busy_permille.and_then(|busy| falls_into_visits(gaps, in_visits, busy));
        match (missing, odds) {
            (true, Some(true)) => (GapClass::PostcopyFault, 90),
            // Too few to say: the page's history alone speaks for it.
            (true, None) => (GapClass::PostcopyFault, 60),
            _ => (GapClass::Unknown, 0),
        }
    }
}

/// Judges the gaps of a whole run, second by second; what the host says and the writers saw may be of the whole run.
/// Orders the gaps by their ends. The throttles found, with the ends of their windows.
pub fn judge_run(gaps: &mut [Gap], evidence: &Evidence<'_>) -> Vec<(u64, Throttle)> {
    gaps.sort_unstable_by_key(end_ns);
    let (mut found, mut next) = (Vec::new(), 0);
    let mut until_ns = 0u64;
    while let Some(first) = gaps.get(next) {
        // Seconds are counted from the first gap; those without one are passed over.
        let away_ns = end_ns(first).saturating_sub(until_ns);
        let seconds_ns = if next == 0 { away_ns } else { away_ns / WINDOW_NS * WINDOW_NS };
        until_ns = until_ns.saturating_add(seconds_ns).saturating_add(WINDOW_NS);
        let oldest_ns = until_ns.saturating_sub(LONG_WINDOW_NS + NEAR_NS);
        let end = gaps.partition_point(|gap| end_ns(gap) <= until_ns).max(next + 1);
        let known = gaps.partition_point(|gap| end_ns(gap) <= oldest_ns).min(next);
        let (before, rest) = gaps.split_at_mut(next);
        if let Some(throttle) = judge(&before[known..], &mut rest[..end - next], until_ns, evidence) {
            found.push((until_ns, throttle));
        }
        next = end;
    }
    found
}

/// A part of a whole in percent, at most 100.
fn percent_of(part: u64, whole: u64) -> u32 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u32::try_from(percent.min(100)).unwrap_or(100)
}
