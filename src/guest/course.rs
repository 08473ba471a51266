//! Which phase of the plan it is: the baseline, then the plan's phases, or `run` where it has none.

use crate::plan::{Checked, PlannedPhase};

/// The phases of one run, in time.
#[derive(Debug)]
pub struct Course {
    phases: Vec<PlannedPhase>,
    repeat: bool,
    /// The phase after the current one, by its place.
    next: usize,
    /// When the current one ends; none when it lasts.
    ends_ns: Option<u64>,
    /// Since when it is held; none when time goes on.
    held_ns: Option<u64>,
}

impl Course {
    /// A run of `plan` from `began_ns` on, in its baseline; one without is due to go on at once.
    pub fn new(plan: &Checked, began_ns: u64) -> Self {
        let ends_ns = Some(began_ns.saturating_add(plan.baseline_ns));
        Self { phases: plan.phases.clone(), repeat: plan.repeat, next: 0, ends_ns, held_ns: None }
    }

    /// When the next phase is due; none when the current one lasts, or is held.
    pub fn ends_ns(&self) -> Option<u64> {
        self.ends_ns.filter(|_| self.held_ns.is_none())
    }

    /// Holds the current phase from `now_ns` on, or lets its time go on: held time does not count.
    pub fn hold(&mut self, now_ns: u64, is_held: bool) {
        match self.held_ns {
            None if is_held => self.held_ns = Some(now_ns),
            Some(since_ns) if !is_held => {
                let span_ns = now_ns.saturating_sub(since_ns);
                self.ends_ns = self.ends_ns.map(|ends_ns| ends_ns.saturating_add(span_ns));
                self.held_ns = None;
            }
            _ => {}
        }
    }

    /// Whether it is due.
    pub fn is_due(&self, now_ns: u64) -> bool {
        self.ends_ns().is_some_and(|ends_ns| now_ns >= ends_ns)
    }

    /// Whether what is due is the end of the last phase.
    pub fn is_over(&self, now_ns: u64) -> bool {
        self.is_due(now_ns) && self.next >= self.phases.len() && self.next > 0 && !self.repeat
    }

    /// Goes on to the next phase; none where the plan has no phases.
    pub fn go_on(&mut self, now_ns: u64) -> Option<PlannedPhase> {
        let begins_ns = self.ends_ns.unwrap_or(now_ns);
        let place = if self.next < self.phases.len() { self.next } else { 0 };
        self.enter(place, begins_ns)
    }

    /// Goes to the phase of this name; none where the plan has no such phase. Without phases the name is all there is to it.
    pub fn jump(&mut self, name: &str, now_ns: u64) -> Option<PlannedPhase> {
        if self.phases.is_empty() {
            // What a host named stays so: there is no phase that could follow.
            self.ends_ns = None;
        }
        let place = self.phases.iter().position(|phase| phase.name == name)?;
        self.held_ns = self.held_ns.map(|_| now_ns);
        self.enter(place, now_ns)
    }

    /// Phases follow each other on a grid: what one was entered late is not lost to the plan.
    fn enter(&mut self, place: usize, begins_ns: u64) -> Option<PlannedPhase> {
        let phase = self.phases.get(place).cloned();
        self.next = place + 1;
        let duration_ns = phase.as_ref().and_then(|phase| phase.duration_ns);
        self.ends_ns = duration_ns.map(|duration_ns| begins_ns.saturating_add(duration_ns));
        phase
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{self, Machine, PhaseAsked, Plan, Stock};
    use crate::units::Nanos;

    fn course(names: &[(&str, Option<u64>)], repeat: bool) -> Course {
        let phases = names.iter().map(|(name, ns)| PhaseAsked {
            name: (*name).into(),
            duration: ns.map(Nanos),
            ..PhaseAsked::default()
        });
        let plan = Plan { phases: phases.collect(), repeat, baseline: Nanos(100), ..Plan::default() };
        let machine = Machine { available_bytes: 1 << 30, cpus: 1, stock: Stock::default() };
        Course::new(&plan::check(&plan, &machine).unwrap(), 1000)
    }

    fn name(phase: Option<PlannedPhase>) -> Option<String> {
        phase.map(|phase| phase.name)
    }

    #[test]
    fn phases_follow_the_baseline_on_a_grid_and_then_it_is_over() {
        let mut course = course(&[("one", Some(50)), ("two", Some(70))], false);
        assert!(!course.is_due(1099) && course.is_due(1100) && !course.is_over(1100));
        assert_eq!((name(course.go_on(1103)).as_deref(), course.ends_ns()), (Some("one"), Some(1150)));
        assert_eq!((name(course.go_on(1160)).as_deref(), course.ends_ns()), (Some("two"), Some(1220)));
        assert!(!course.is_over(1219) && course.is_over(1220));
    }

    #[test]
    fn a_plan_that_repeats_begins_anew_and_one_may_jump() {
        let mut course = course(&[("one", Some(50)), ("two", Some(70))], true);
        course.go_on(1100);
        assert_eq!((name(course.jump("two", 1110)).as_deref(), course.ends_ns()), (Some("two"), Some(1180)));
        assert!(course.is_due(1180) && !course.is_over(1180));
        assert_eq!(name(course.go_on(1180)).as_deref(), Some("one"));
        assert_eq!(name(course.jump("three", 1181)), None);
    }

    #[test]
    fn time_does_not_go_on_while_a_phase_is_held() {
        let mut course = course(&[("one", Some(50)), ("two", Some(70))], false);
        course.hold(1020, false);
        course.hold(1050, true);
        course.hold(1300, true);
        assert_eq!(
            (course.is_due(u64::MAX), course.is_over(u64::MAX), course.ends_ns()),
            (false, false, None)
        );
        course.hold(2050, false);
        assert_eq!((course.is_due(2099), course.ends_ns()), (false, Some(2100)), "50 of 100 were over");
        course.go_on(2100);
        course.hold(2110, true);
        assert_eq!(name(course.jump("two", 2200)).as_deref(), Some("two"));
        course.hold(2300, false);
        assert_eq!(
            course.ends_ns(),
            Some(2370),
            "a phase that was entered while held begins when it goes on"
        );
    }

    #[test]
    fn a_last_phase_without_an_end_lasts_and_so_does_a_run_without_phases() {
        let mut lasting = course(&[("one", None)], false);
        lasting.go_on(1100);
        assert!(!lasting.is_due(u64::MAX) && !lasting.is_over(u64::MAX));
        let mut plain = course(&[], false);
        assert_eq!((plain.go_on(1100), plain.ends_ns()), (None, None));
        assert!(!plain.is_over(u64::MAX));
        let mut named = course(&[], false);
        assert_eq!((named.jump("mine", 1050), named.is_due(u64::MAX)), (None, false));
    }
}
