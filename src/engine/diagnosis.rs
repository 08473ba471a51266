//! The last few seconds of gaps, kept so that each interval can say whose they were and how hard the vCPUs are
//! throttled. Bounded in gaps and in time.

use crate::diagnose::{STEAL_SPAN_NS, Seen, TimeByClass, WINDOW_NS, judged};
use crate::record::{Gap, Throttle};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
};

/// A gap waits so long for those of other canaries before it is judged, ns. Canaries wake from one stop within a ms of
/// each other, and the thread that asks may have slept through the same stop: it wakes in between.
const COMPANY_NS: u64 = 5_000_000;
/// Gaps of one stop end so near each other, ns.
const ONE_END_NS: u64 = 2_000_000;
/// More gaps than that for each canary are not kept: the oldest go. A throttle of a few percent, which is told from the stops of
/// a second, makes some 350 in the longest window.
const GAPS_A_CANARY: usize = 512;
/// As if there were at least so many canaries: a few that are late all the time are not to push out what the others tell.
const CANARIES_LEAST: usize = 8;
/// More readings of steal than that are not kept.
const READINGS_CEILING: usize = 64;

/// What is remembered of the gaps, and what they came to by class.
#[derive(Debug, Default)]
pub(super) struct Diagnosis {
    gaps: Vec<Gap>,
    /// So many of them, the oldest, are forgotten: they are cut off now and then, or the others would move each time, and
    /// their pages be dirtied.
    forgotten: usize,
    /// Those that ended just now.
    waiting: Vec<Gap>,
    /// Steal in ms since boot, and when it was read.
    steal: VecDeque<(u64, u64)>,
    time: TimeByClass,
    /// The same for each CPU.
    times: BTreeMap<u32, TimeByClass>,
    throttle: Option<Throttle>,
    /// The ticks that canaries wake with; 0 where they wake when they ask to.
    tick_ns: u64,
}

impl Diagnosis {
    /// Of canaries that wake with ticks of so many ns.
    pub(super) fn of_ticks(tick_ns: u64) -> Self {
        Self { tick_ns, ..Self::default() }
    }

    /// Takes in the gaps that came since the last call, and steal as it is now, and judges them in the light of what
    /// came before, but for those that ended just now. `now_ns` is before the calls that read them. A gap has its class
    /// from then on.
    pub(super) fn take_in(&mut self, fresh: &[Gap], canaries: usize, steal_ms: Option<u64>, now_ns: u64) {
        let mut gaps = mem::take(&mut self.waiting);
        gaps.extend_from_slice(fresh);
        // Of those that ended together one may be old enough a moment before the others.
        let ends: Vec<(u64, u32)> = gaps.iter().map(|gap| (gap.end_ns(), gap.cpu)).collect();
        let is_young = |gap: &Gap| gap.end_ns().saturating_add(COMPANY_NS) > now_ns;
        let (young, mut fresh): (Vec<Gap>, Vec<Gap>) = gaps.into_iter().partition(is_young);
        let (complete, waiting): (Vec<Gap>, Vec<Gap>) =
            young.into_iter().partition(|gap| accompanied(gap, &ends) >= canaries);
        self.waiting = waiting;
        fresh.extend(complete);
        // What ended while the rings were read is seen as well.
        let last_ns = fresh.iter().map(Gap::end_ns).max().unwrap_or(0);
        self.judge(fresh, canaries, steal_ms, now_ns.max(last_ns));
    }

    /// Judges what waits still: nothing more will come.
    pub(super) fn judge_all(&mut self, canaries: usize, steal_ms: Option<u64>, now_ns: u64) {
        let waiting = mem::take(&mut self.waiting);
        self.judge(waiting, canaries, steal_ms, now_ns);
    }

    fn judge(&mut self, fresh: Vec<Gap>, canaries: usize, steal_ms: Option<u64>, now_ns: u64) {
        self.steal.extend(steal_ms.map(|ms| (now_ns, ms)));
        while self.steal.len() > READINGS_CEILING
            || self.steal.get(1).is_some_and(|(at_ns, _)| at_ns.saturating_add(STEAL_SPAN_NS) <= now_ns)
        {
            self.steal.pop_front();
        }
        self.forget(now_ns, fresh.len(), canaries);
        if fresh.is_empty() && self.waiting.is_empty() && self.throttle.is_none() {
            // With nothing new no rhythm begins.
            return;
        }
        let first_fresh = self.gaps.len() - self.forgotten;
        self.gaps.extend(fresh);
        let gaps = &self.gaps[self.forgotten..];
        let stolen = self.steal.front().zip(self.steal.back());
        let seen = Seen {
            end_ns: now_ns,
            length_ns: stolen.map_or(0, |(first, last)| last.0.saturating_sub(first.0)),
            canaries,
            gaps,
            pending: &self.waiting,
            steal_ns: stolen.map(|(first, last)| last.1.saturating_sub(first.1).saturating_mul(1_000_000)),
            tick_ns: self.tick_ns,
            ..Seen::default()
        };
        let (throttle, told) = judged(&seen);
        self.throttle = throttle;
        for (gap, verdict) in gaps.iter().zip(told).skip(first_fresh) {
            self.time.add(verdict.class, gap.len_ns);
            self.times.entry(gap.cpu).or_default().add(verdict.class, gap.len_ns);
        }
    }

    /// Forgets what is too old, and the oldest where so many `fresh` ones find no room. What is fresh always stays: it is no
    /// more than the rings hold.
    fn forget(&mut self, now_ns: u64, fresh: usize, canaries: usize) {
        let kept = &self.gaps[self.forgotten..];
        let is_old = |gap: &&Gap| gap.end_ns().saturating_add(WINDOW_NS) < now_ns;
        let old = kept.iter().take_while(is_old).count();
        let excess = (kept.len() + fresh).saturating_sub(canaries.max(CANARIES_LEAST) * GAPS_A_CANARY);
        self.forgotten += old.max(excess).min(kept.len());
        if self.forgotten * 2 > self.gaps.len() {
            self.gaps.drain(..self.forgotten);
            self.forgotten = 0;
        }
    }

    /// Time by class since the beginning.
    pub(super) fn time(&self) -> TimeByClass {
        self.time
    }

    /// The same for one CPU.
    pub(super) fn time_of(&self, cpu: u32) -> TimeByClass {
        self.times.get(&cpu).copied().unwrap_or_default()
    }

    /// The throttle as it was last found.
    pub(super) fn throttle(&self) -> Option<Throttle> {
        self.throttle
    }
}

/// How many canaries told of a gap that ended when `gap` did; `ends` are those of all and whose they are.
fn accompanied(gap: &Gap, ends: &[(u64, u32)]) -> usize {
    let near = ends.iter().filter(|(end_ns, _)| end_ns.abs_diff(gap.end_ns()) <= ONE_END_NS);
    near.map(|(_, cpu)| *cpu).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{GapClass, GapFeatures};

    const MS: u64 = 1_000_000;

    /// What was told so far, by class.
    fn told_ms(diagnosis: &Diagnosis) -> Vec<(GapClass, u64)> {
        diagnosis.time().ms_since(&TimeByClass::default()).collect()
    }

    #[test]
    fn a_stop_that_one_canary_has_not_told_of_yet_is_common_all_the_same() {
        let gap = |cpu| Gap {
            cpu,
            start_ns: 1_000 * MS,
            len_ns: 40 * MS,
            class: GapClass::Unknown,
            features: GapFeatures::default(),
        };
        let mut diagnosis = Diagnosis::default();
        diagnosis.take_in(&[gap(0)], 2, None, 1_040 * MS + 100);
        assert_eq!(told_ms(&diagnosis), []);
        diagnosis.take_in(&[gap(1)], 2, None, 1_050 * MS);
        assert_eq!(told_ms(&diagnosis), [(GapClass::Blackout, 80)]);
        let mut complete = Diagnosis::default();
        complete.take_in(&[gap(0), gap(1)], 2, None, 1_040 * MS + 100);
        assert_eq!(told_ms(&complete), [(GapClass::Blackout, 80)], "all have told: nothing to wait for");
        let mut apart = Diagnosis::default();
        let late = Gap { start_ns: 1_000 * MS + 500_000, ..gap(1) };
        apart.take_in(&[gap(0), late], 2, None, 1_045 * MS + 100_000);
        assert_eq!(told_ms(&apart), [(GapClass::Blackout, 80)], "one is old enough, the other is there");
        let mut ending = Diagnosis::default();
        ending.take_in(&[gap(0)], 2, None, 1_040 * MS);
        ending.judge_all(2, None, 1_040 * MS);
        assert_eq!(told_ms(&ending), [(GapClass::HostOther, 40)]);
    }

    #[test]
    fn a_throttle_is_seen_within_a_second_and_forgotten_after_it_and_no_gap_counts_twice() {
        let mut diagnosis = Diagnosis::default();
        let gap = |cpu, index: u64| Gap {
            cpu,
            start_ns: index * 20 * MS,
            len_ns: 10 * MS,
            class: GapClass::Unknown,
            features: GapFeatures::default(),
        };
        // The last gap of each beat ended 10 ms before it.
        for beat in 1..=20 {
            let fresh: Vec<Gap> =
                (beat * 5 - 5..beat * 5).flat_map(|index| [gap(0, index), gap(1, index)]).collect();
            diagnosis.take_in(&fresh, 2, Some(0), beat * 100 * MS);
            assert_eq!(diagnosis.throttle().is_some(), beat >= 5, "after {beat} beats");
        }
        assert_eq!(diagnosis.throttle().map(|throttle| throttle.percent), Some(50));
        assert_eq!(told_ms(&diagnosis).iter().map(|(_, ms)| ms).sum::<u64>(), 200 * 10);
        diagnosis.take_in(&[], 2, Some(0), 2_700 * MS);
        assert_eq!(diagnosis.throttle(), None);
        diagnosis.take_in(&[], 2, Some(0), 6_000 * MS);
        assert!(diagnosis.gaps.is_empty());
    }

    #[test]
    fn a_sleep_that_one_canary_has_not_told_of_yet_tells_the_level_that_a_throttle_was_raised_to() {
        let gap = |cpu, start_ms: u64, len_ms: u64| Gap {
            cpu,
            start_ns: start_ms * MS,
            len_ns: len_ms * MS,
            class: GapClass::Unknown,
            features: GapFeatures::default(),
        };
        let mut diagnosis = Diagnosis::default();
        // Of 90 %: 90 ms of each 100.
        for beat in 0..30 {
            let fresh = [0, 1].map(|cpu| gap(cpu, beat * 100 + 5, 90));
            diagnosis.take_in(&fresh, 2, Some(0), beat * 100 * MS + 98 * MS);
        }
        assert_eq!(diagnosis.throttle().map(|throttle| throttle.percent), Some(90));
        let told = diagnosis.time();
        // It was due at 3005 ms. One canary tells of it 3 ms before the other.
        diagnosis.take_in(&[gap(1, 3_005, 990)], 2, Some(0), 3_998 * MS);
        assert_eq!(diagnosis.throttle().map(|throttle| throttle.percent), Some(99));
        assert_eq!(diagnosis.time(), told, "it has no verdict yet");
        diagnosis.take_in(&[gap(0, 3_005, 994)], 2, Some(0), 4_998 * MS);
        assert_eq!(diagnosis.throttle().map(|throttle| throttle.percent), Some(99));
    }

    #[test]
    fn a_low_throttle_of_128_canaries_is_told_as_that_of_two_is() {
        // Of 5 %: 0.526 ms of each 10.526 ms, so 95 stops of each canary in a second.
        let (period_ns, len_ns) = (10_526_316, 526_316);
        for canaries in [2, 128] {
            let mut diagnosis = Diagnosis::default();
            let gap = |cpu: usize, start_ns| Gap {
                cpu: u32::try_from(cpu).unwrap_or(0),
                start_ns,
                len_ns,
                class: GapClass::Unknown,
                features: GapFeatures::default(),
            };
            let (mut stop, mut told_of) = (0, 0);
            for beat in 1..=15 {
                let mut fresh = Vec::new();
                while stop * period_ns + len_ns < beat * 100 * MS {
                    fresh.extend((0..canaries).map(|cpu| gap(cpu, stop * period_ns)));
                    stop += 1;
                }
                told_of += fresh.len();
                diagnosis.take_in(&fresh, canaries, Some(0), beat * 100 * MS);
            }
            let told = diagnosis.throttle().map(|throttle| throttle.percent);
            assert_eq!(told, Some(5), "{canaries} canaries");
            assert_eq!(diagnosis.gaps.len() - diagnosis.forgotten, told_of, "none is lost");
        }
    }

    #[test]
    fn memory_stays_bounded() {
        let mut diagnosis = Diagnosis::default();
        let gap = Gap {
            cpu: 0,
            start_ns: 0,
            len_ns: 1,
            class: GapClass::Unknown,
            features: GapFeatures::default(),
        };
        for now_ns in 0..100 {
            diagnosis.take_in(&vec![gap.clone(); 100], 1, Some(now_ns), now_ns);
        }
        assert!(
            diagnosis.gaps.len() <= 2 * CANARIES_LEAST * GAPS_A_CANARY
                && diagnosis.steal.len() <= READINGS_CEILING
        );
    }
}
