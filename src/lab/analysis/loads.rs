//! Which load was in force when: as `hello` has it, then as each `load` record says.

use crate::{
    lab::{
        rundir::{LoadFrom, RunData},
        timeline::{Axis, Span},
    },
    plan::{Load, PaceSpec},
    units::Rate,
};

/// With so many bursts a stage's rate is within a tenth of the load's, wherever it begins and ends.
const CYCLES: f64 = 10.0;

/// The loads of a run, each from its beginning until the next one begins. A ramp is one load, what it leads to another.
#[derive(Debug, Clone, Default)]
pub struct Loads(Vec<(f64, Load)>);

impl Loads {
    /// Those of the run; none where no `hello` arrived.
    pub fn of(data: &RunData, axis: &Axis) -> Self {
        let mut loads: Vec<(f64, Load)> = Vec::new();
        for LoadFrom { mono_ns, load } in &data.records.loads {
            let Some(mono_ns) = mono_ns else {
                loads.push((f64::NEG_INFINITY, *load));
                continue;
            };
            let Some(from_s) = axis.guest_s(*mono_ns) else { continue };
            // A ramp that another load cuts short never comes to its end.
            loads.retain(|(begins_s, _)| *begins_s <= from_s);
            loads.push((from_s, *load));
            let over =
                load.ramp.map(|ramp| (from_s + ramp.over_ns as f64 / 1e9, Load { ramp: None, ..*load }));
            loads.extend(over);
        }
        Self(loads)
    }

    /// Those in force in `span`.
    pub fn during(&self, span: Span) -> impl Iterator<Item = &Load> {
        let ends = self.0.iter().skip(1).map(|(from_s, _)| *from_s).chain([f64::INFINITY]);
        let each = self.0.iter().zip(ends);
        each.filter(move |((from_s, _), end_s)| *from_s < span.end_s && *end_s > span.start_s)
            .map(|((_, load), _)| load)
    }

    /// The only one in force in `span`, which asked for the same all the time; none where there were several, or a ramp.
    pub fn only(&self, span: Span) -> Option<Load> {
        let mut all = self.during(span);
        let first = all.next().filter(|first| first.ramp.is_none())?;
        all.all(|other| other == first).then_some(*first)
    }

    /// Whether the load of `span` is that of `other`, all the time in both. Where no record tells, it is taken to be.
    pub fn are_one(&self, span: Span, other: Span) -> bool {
        self.0.is_empty() || self.only(span).is_some_and(|load| self.only(other) == Some(load))
    }

    /// Whether the rate of `span` is that of one load; why not, where it is not.
    pub fn has_one_rate(&self, span: Span) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        let load = self.only(span).ok_or("the load changed in it")?;
        match load.pace {
            PaceSpec::Burst { on, off } if span.length_s() < CYCLES * (on.0 as f64 + off.0 as f64) / 1e9 => {
                Err(format!("it has less than {CYCLES:.0} of the load's bursts"))
            }
            _ => Ok(()),
        }
    }

    /// Whether a load without a schedule was in force in a part of `span`.
    pub fn any_max(&self, span: Span) -> bool {
        self.during(span).any(|load| load.rate == Rate::Max)
    }

    /// The highest rate that the schedule asks for in `span`, in visits a second: within a burst, or at a ramp's upper end. None
    /// where a part of it has no schedule, or no record tells.
    pub fn peak_visits_per_s(&self, span: Span) -> Option<f64> {
        self.during(span).map(peak_visits_per_s).reduce(|one, other| Some(one?.max(other?))).flatten()
    }

    /// Visits a second that were asked for at a moment, on the mean over bursts and arrivals; none for `max`.
    pub fn visits_per_s(&self, at_s: f64) -> Option<f64> {
        let (from_s, load) = self.0.iter().rfind(|(from_s, _)| *from_s <= at_s)?;
        let elapsed_ns = crate::lab::timeline::nanos(at_s - from_s);
        mean_visits_per_s(load, load.pages_per_s_after(elapsed_ns)?)
    }
}

/// The visits a second of `load` where it writes `pages_per_s`.
fn mean_visits_per_s(load: &Load, pages_per_s: u64) -> Option<f64> {
    let now = Load { rate: Rate::PagesPerSecond(pages_per_s), ramp: None, ..*load };
    now.visit_rate().pages_per_s().map(|visits| visits as f64)
}

fn peak_visits_per_s(load: &Load) -> Option<f64> {
    let begin = load.pages_per_s_after(0)?;
    let mean = mean_visits_per_s(load, begin.max(load.rate.pages_per_s()?))?;
    Some(match load.pace {
        PaceSpec::Burst { on, off } => mean * (on.0 as f64 + off.0 as f64) / on.0 as f64,
        PaceSpec::Constant | PaceSpec::Poisson => mean,
    })
}
