//! When the visits of one writer are due, at whichever pace.

use super::{
    Part,
    burst::Burst,
    even::{Even, EvenStarts},
    poisson::{Poisson, PoissonStarts},
    ramp::{Ramp, RampStarts},
};
use crate::plan::PaceSpec;

/// Which visits are due when, for one writer of several that share a rate. Follows from the plan alone, at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule(Shape);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Constant(Even),
    Burst(Even, Burst),
    Poisson(Poisson),
    Ramp(Ramp),
}

impl Schedule {
    /// The schedule of `part` from `t0_ns` on; none when the rate is 0, or `max`, which has none.
    pub fn new(t0_ns: u64, part: &Part) -> Option<Self> {
        let rate = part.rate.pages_per_s()?;
        if let Some((from, over_ns)) = part.ramp {
            let ramp = Ramp::new(t0_ns, (from, rate), over_ns, (part.writer, part.writers));
            return Some(Self(Shape::Ramp(ramp)));
        }
        let even = Even::new(t0_ns, rate, part.writer, part.writers)?;
        Some(Self(match part.pace {
            PaceSpec::Constant => Shape::Constant(even),
            PaceSpec::Burst { on, off } => Shape::Burst(even, Burst::new(t0_ns, on.0, off.0)),
            PaceSpec::Poisson => Shape::Poisson(Poisson::new(even, part.seed, part.writer)),
        }))
    }

    /// How many of this writer's visits were due before `at_ns`.
    pub fn offered(&self, at_ns: u64) -> u64 {
        match &self.0 {
            Shape::Constant(even) => even.offered(at_ns),
            Shape::Burst(even, burst) => even.offered(burst.even_ns(at_ns)),
            Shape::Poisson(poisson) => poisson.offered(at_ns),
            Shape::Ramp(ramp) => ramp.offered(at_ns),
        }
    }

    /// The memory that this writer's [`Starts`] take, in bytes.
    pub fn table_bytes(&self) -> usize {
        match &self.0 {
            Shape::Constant(_) | Shape::Burst(..) | Shape::Ramp(_) => 0,
            Shape::Poisson(poisson) => poisson.most_visits() * size_of::<u64>(),
        }
    }

    /// This writer's intended starts, from its first visit on.
    pub fn starts(&self) -> Starts {
        match self.0 {
            Shape::Constant(even) => Starts(Course::Constant(even.starts())),
            Shape::Burst(even, burst) => Starts(Course::Burst(even.starts(), burst)),
            Shape::Poisson(poisson) => Starts(Course::Poisson(poisson.starts())),
            Shape::Ramp(ramp) => Starts(Course::Ramp(ramp.starts())),
        }
    }
}

/// The intended starts of one writer, in order. Takes memory when it is made and never again.
#[derive(Debug, Clone)]
pub struct Starts(Course);

#[derive(Debug, Clone)]
enum Course {
    Constant(EvenStarts),
    Burst(EvenStarts, Burst),
    Poisson(PoissonStarts),
    Ramp(RampStarts),
}

impl Starts {
    /// The next intended start, which stays the next one.
    pub fn peek(&self) -> u64 {
        match &self.0 {
            Course::Constant(even) => even.peek(),
            Course::Burst(even, burst) => burst.due_ns(even.peek()),
            Course::Poisson(poisson) => poisson.peek(),
            Course::Ramp(ramp) => ramp.peek(),
        }
    }

    /// Goes on to the visit after it.
    pub fn step(&mut self) {
        match &mut self.0 {
            Course::Constant(even) | Course::Burst(even, _) => even.step(),
            Course::Poisson(poisson) => poisson.step(),
            Course::Ramp(ramp) => ramp.step(),
        }
    }

    /// Goes to the first visit that is due at `at_ns` or later.
    pub fn seek(&mut self, at_ns: u64) {
        match &mut self.0 {
            Course::Constant(even) => even.seek(at_ns),
            Course::Burst(even, burst) => even.seek(burst.even_ns(at_ns)),
            Course::Poisson(poisson) => poisson.seek(at_ns),
            Course::Ramp(ramp) => ramp.seek(at_ns),
        }
    }
}

#[cfg(test)]
mod tests;
