//! Which load was in force when, what was asked for by it, and what of it was due to each writer.

use super::status::TakenUp;
use crate::{
    pace::{Part, Schedule},
    plan::{Checked, Load},
};
use std::collections::VecDeque;

/// So many loads may follow each other before every writer has taken up the first of them: one that hangs in a fault
/// takes up none.
const MOST_LEGS: usize = 64;

/// Which load was in force when, from the oldest that some writer is still on.
#[derive(Debug)]
pub(super) struct Course {
    /// How many loads came before the first of these.
    gone: u32,
    legs: VecDeque<Leg>,
    /// The one in force, which is the last of them.
    last: Leg,
    /// By all loads but the last.
    asked: Asked,
}

#[derive(Debug, Clone, Copy)]
struct Leg {
    from_ns: u64,
    load: Load,
}

/// What was asked for so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Asked {
    /// Pages by numbers, in billionths.
    billionths: u128,
    /// For how long a number said how many pages...
    scheduled_ns: u64,
    /// ...and for how long as many as could be.
    free_ns: u64,
}

impl Asked {
    fn add(&mut self, load: &Load, elapsed_ns: u64) {
        match load.asked_after(elapsed_ns) {
            Some(billionths) => {
                self.billionths += billionths;
                self.scheduled_ns += elapsed_ns;
            }
            None => self.free_ns += elapsed_ns,
        }
    }

    /// What was asked for since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            billionths: self.billionths.saturating_sub(earlier.billionths),
            scheduled_ns: self.scheduled_ns.saturating_sub(earlier.scheduled_ns),
            free_ns: self.free_ns.saturating_sub(earlier.free_ns),
        }
    }

    /// The mean of the rates in force; none where it was `max` for a time.
    pub(super) fn pages_per_s(&self) -> Option<u64> {
        if self.free_ns > 0 || self.scheduled_ns == 0 {
            return None;
        }
        let span_ns = u128::from(self.scheduled_ns);
        u64::try_from((self.billionths + span_ns / 2) / span_ns).ok()
    }

    /// Whether there ever was a schedule.
    pub(super) const fn is_scheduled(&self) -> bool {
        self.scheduled_ns > 0
    }
}

impl Course {
    /// Begins with `load`.
    pub(super) fn new(from_ns: u64, load: Load) -> Self {
        let last = Leg { from_ns, load };
        Self { gone: 0, legs: VecDeque::from([last]), last, asked: Asked::default() }
    }

    /// The load in force.
    pub(super) fn now(&self) -> Load {
        self.last.load
    }

    /// The number of the load that comes next; the first was 0.
    #[expect(clippy::cast_possible_truncation, reason = "at most MOST_LEGS")]
    pub(super) fn next_number(&self) -> u32 {
        self.gone.wrapping_add(self.legs.len() as u32)
    }

    /// Whether another load finds room, when every writer has taken up so many.
    pub(super) fn has_room(&mut self, taken_up: u32) -> bool {
        let gone = taken_up.wrapping_sub(self.gone) as usize;
        self.legs.drain(..gone.min(self.legs.len().saturating_sub(1)));
        self.gone = taken_up;
        self.legs.len() < MOST_LEGS
    }

    /// Another load, from `at_ns` on.
    pub(super) fn change(&mut self, at_ns: u64, load: Load) {
        self.asked = self.asked_by(at_ns);
        self.last = Leg { from_ns: at_ns, load };
        self.legs.push_back(self.last);
    }

    /// What has been asked for by `at_ns`.
    pub(super) fn asked_by(&self, at_ns: u64) -> Asked {
        let mut asked = self.asked;
        asked.add(&self.last.load, at_ns.saturating_sub(self.last.from_ns));
        asked
    }

    /// How many visits of writer number `writer` were due before `at_ns`: those past when it took up its last load, and
    /// what came due by that one and by those it has not taken up yet.
    pub(super) fn offered(&self, plan: &Checked, writer: u32, taken_up: TakenUp, at_ns: u64) -> u64 {
        let on = taken_up.changes.wrapping_sub(self.gone) as usize;
        let mut offered = taken_up.past;
        for (leg, next) in self.legs.iter().zip((1..).map(|next| self.legs.get(next))).skip(on) {
            let until_ns = next.map_or(at_ns, |next| next.from_ns.min(at_ns));
            let schedule = Schedule::new(leg.from_ns, &Part::of(plan, &leg.load, writer));
            offered += schedule.map_or(0, |schedule| schedule.offered(until_ns));
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{self, Machine, Plan, Ramp},
        units::Rate,
    };

    const SECOND_NS: u64 = 1_000_000_000;

    fn checked() -> Checked {
        let plan = Plan { threads: Some(1), ..Plan::default() };
        plan::check(&plan, &Machine { available_bytes: 1 << 30, cpus: 1, stock: plan::Stock::default() })
            .unwrap()
    }

    fn at(rate: Rate) -> Load {
        Load { rate, ..checked().load() }
    }

    #[test]
    fn what_is_asked_is_the_mean_of_the_loads_in_force() {
        let mut course = Course::new(0, at(Rate::PagesPerSecond(1000)));
        course.change(SECOND_NS, at(Rate::PagesPerSecond(0)));
        let ramp = Some(Ramp { from: Rate::PagesPerSecond(0), over_ns: SECOND_NS });
        course.change(2 * SECOND_NS, Load { ramp, ..at(Rate::PagesPerSecond(600)) });
        let asked = |from: u64, to: u64| course.asked_by(to).since(&course.asked_by(from)).pages_per_s();
        assert_eq!(asked(2 * SECOND_NS, 3 * SECOND_NS), Some(300));
        assert_eq!(asked(3 * SECOND_NS, 4 * SECOND_NS), Some(600));
        assert_eq!(course.asked_by(3 * SECOND_NS).pages_per_s(), Some(433));
        course.change(4 * SECOND_NS, at(Rate::Max));
        assert_eq!(course.asked_by(5 * SECOND_NS).pages_per_s(), None, "max for a time");
        assert!(course.asked_by(5 * SECOND_NS).is_scheduled());
    }

    #[test]
    fn a_writer_that_hangs_owes_what_every_load_asked_of_it() {
        let mut course = Course::new(0, at(Rate::PagesPerSecond(1000)));
        course.change(SECOND_NS, at(Rate::PagesPerSecond(50)));
        course.change(2 * SECOND_NS, at(Rate::PagesPerSecond(7)));
        let offered = |taken_up| course.offered(&checked(), 0, taken_up, 3 * SECOND_NS);
        assert_eq!(offered(TakenUp { changes: 0, past: 0 }), 1057);
        assert_eq!(offered(TakenUp { changes: 1, past: 1001 }), 1058, "one was done ahead");
        assert_eq!(offered(TakenUp { changes: 2, past: 1051 }), 1058);
    }

    #[test]
    fn loads_that_every_writer_has_taken_up_are_forgotten_and_there_is_an_end_to_others() {
        let mut course = Course::new(0, at(Rate::Max));
        for number in 1..MOST_LEGS as u64 {
            assert!(course.has_room(0));
            course.change(number, at(Rate::Max));
        }
        assert!(!course.has_room(0));
        assert!(course.has_room(1));
        assert_eq!(course.legs.len(), MOST_LEGS - 1);
        assert!(course.has_room(63) && course.legs.len() == 1);
        assert_eq!(course.last.from_ns, 63);
    }
}
