//! Whose fault the gaps were, judged while the run goes on: a bounded window of gaps, long visits and counters.
//!
//! Gaps are gathered ten times a second and judged when an interval ends, and at least once a second: what a gap was
//! shows only beside others. They are sent then, so a `gap` record comes up to a second after its gap ended.

use crate::diagnose::{
    Budget, Counted, Evidence, LONG_WINDOW_NS, LongVisit, MemoryWork, Pause, WINDOW_NS, around, judge,
    waits_alone_ns,
};
use crate::engine::Engine;
use crate::probe::{CounterProbe, Counters};
use crate::record::{Gap, GapClass, GapVisit, Throttle};
use std::collections::VecDeque;

/// Gaps closer together than this are judged together.
const LEAST_NS: u64 = 100_000_000;
/// So many gaps are not kept waiting.
const MOST_GAPS: usize = 8192;
/// Older ones show nothing any more: the longest window, and a second of neighbours.
const KEPT_NS: u64 = LONG_WINDOW_NS + WINDOW_NS;

/// What is known of the last seconds, and the sums since the beginning.
#[derive(Debug)]
pub struct Diagnosis {
    probe: CounterProbe,
    /// Readings of the last second, oldest first.
    readings: VecDeque<(u64, Counters)>,
    /// Those judged, in order of their ends, then those to be judged.
    gaps: Vec<Gap>,
    judged: usize,
    visits: Vec<LongVisit>,
    judged_ns: u64,
    budget: Budget,
    throttle: Option<Throttle>,
}

impl Diagnosis {
    /// Nothing is known yet at `now_ns`.
    pub fn new(now_ns: u64) -> Self {
        Self {
            probe: CounterProbe::open(),
            readings: VecDeque::new(),
            gaps: Vec::new(),
            judged: 0,
            visits: Vec::new(),
            judged_ns: now_ns,
            budget: Budget::default(),
            throttle: None,
        }
    }

    /// Gathers what came since the last call.
    pub fn gather(&mut self, now_ns: u64, engine: &mut Engine) {
        engine.take_gaps(&mut self.gaps);
        engine.take_long_visits(&mut self.visits);
        self.readings.push_back((now_ns, self.probe.read()));
        let oldest_ns = now_ns.saturating_sub(WINDOW_NS);
        // The youngest of those that are a second old stays: differences are taken against it.
        while self.readings.get(1).is_some_and(|(at_ns, _)| *at_ns <= oldest_ns) {
            self.readings.pop_front();
        }
    }

    /// Gathers the last ones; however little time has passed, they are judged next.
    pub fn finish(&mut self, now_ns: u64, engine: &mut Engine) {
        self.gather(now_ns, engine);
        self.judged_ns = self.judged_ns.min(now_ns.saturating_sub(LEAST_NS));
    }

    /// Whether gaps have waited long enough although no interval ended.
    pub fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.judged_ns) >= WINDOW_NS || self.gaps.len() - self.judged > MOST_GAPS
    }

    /// Judges the gaps gathered; each is handed to `tell`. Too soon after the last time nothing happens.
    pub fn judge(&mut self, now_ns: u64, engine: &Engine, mut tell: impl FnMut(Gap)) {
        if now_ns.saturating_sub(self.judged_ns) < LEAST_NS && self.gaps.len() - self.judged <= MOST_GAPS {
            return;
        }
        let counted = self.counted();
        let evidence = Evidence {
            sight: engine.sight(),
            counted: counted.as_ref(),
            host: &[],
            visits: &self.visits,
            busy_permille: None,
        };
        let (known, new) = self.gaps.split_at_mut(self.judged);
        new.sort_unstable_by_key(end_ns);
        // This thread may have been stopped since it looked at the clock: the youngest gap is the better now.
        let until_ns = new.last().map_or(now_ns, |gap| end_ns(gap).max(now_ns));
        self.throttle = judge(known, new, until_ns, &evidence);
        let waits = waits_alone_ns(&self.gaps, self.judged_ns, until_ns, &evidence);
        self.budget.add_ns(GapClass::AsyncPf, waits);
        for gap in &mut self.gaps[self.judged..] {
            gap.visit = visit_of(gap, &self.visits);
            self.budget.add(gap);
            tell(gap.clone());
        }
        self.judged_ns = until_ns;
        self.forget(until_ns);
    }

    /// The sums so far, and how hard the hypervisor throttled when it was last judged.
    pub fn findings(&self) -> (&Budget, Option<Throttle>) {
        (&self.budget, self.throttle)
    }

    fn forget(&mut self, now_ns: u64) {
        let oldest_ns = now_ns.saturating_sub(KEPT_NS);
        self.gaps.retain(|gap| end_ns(gap) > oldest_ns);
        let surplus = self.gaps.len().saturating_sub(MOST_GAPS);
        self.gaps.drain(..surplus);
        self.judged = self.gaps.len();
        self.visits.retain(|visit| visit.start_ns.saturating_add(visit.len_ns) > oldest_ns);
        let surplus = self.visits.len().saturating_sub(MOST_GAPS);
        self.visits.drain(..surplus);
    }

    /// What the kernel counted in about the last second.
    fn counted(&self) -> Option<Counted> {
        let ((_, then), (_, now)) = self.readings.front().zip(self.readings.back())?;
        let before =
            |cpu: u32| then.steal_ns.iter().find(|(known, _)| *known == cpu).map_or(0, |(_, ns)| *ns);
        let steal_ns = now.steal_ns.iter().map(|(cpu, ns)| (*cpu, ns.saturating_sub(before(*cpu)))).collect();
        Some(Counted {
            steal_ns,
            callbacks: now.callbacks.saturating_sub(then.callbacks),
            memory: MemoryWork {
                huge_pages: now.huge_pages.saturating_sub(then.huge_pages),
                compactions: now.compactions.saturating_sub(then.compactions),
                reclaims: now.reclaims.saturating_sub(then.reclaims),
                swapped: now.swapped.saturating_sub(then.swapped),
            },
        })
    }
}

fn end_ns(gap: &Gap) -> u64 {
    gap.start_ns.saturating_add(gap.len_ns)
}

/// The visit on the same vCPU that a gap falls into.
fn visit_of(gap: &Gap, visits: &[LongVisit]) -> Option<GapVisit> {
    let visit = around(&Pause::of(gap), visits)?;
    Some(GapVisit {
        start_ns: visit.start_ns,
        len_ns: visit.len_ns,
        page_visited_ns: visit.last_visited_ns,
        writes: visit.writes,
    })
}
