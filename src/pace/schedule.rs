//! When the visits of one writer are due, at whichever pace.

use super::{
    Part,
    burst::Burst,
    even::{Even, EvenStarts},
    poisson::{Poisson, PoissonStarts},
};
use crate::plan::PaceSpec;

/// Which visits are due when, for one writer of several that share a rate. Follows from the plan alone, at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    even: Even,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Constant,
    Burst(Burst),
    Poisson(Poisson),
}

impl Schedule {
    /// The schedule of `part` from `t0_ns` on; none when the rate is 0, or `max`, which has none.
    pub fn new(t0_ns: u64, part: &Part) -> Option<Self> {
        let even = Even::new(t0_ns, part.rate.pages_per_s()?, part.writer, part.writers)?;
        let shape = match part.pace {
            PaceSpec::Constant => Shape::Constant,
            PaceSpec::Burst { on, off } => Shape::Burst(Burst::new(t0_ns, on.0, off.0)),
            PaceSpec::Poisson => Shape::Poisson(Poisson::new(even, part.seed, part.writer)),
        };
        Some(Self { even, shape })
    }

    /// How many of this writer's visits were due before `at_ns`.
    pub fn offered(&self, at_ns: u64) -> u64 {
        match &self.shape {
            Shape::Constant => self.even.offered(at_ns),
            Shape::Burst(burst) => self.even.offered(burst.even_ns(at_ns)),
            Shape::Poisson(poisson) => poisson.offered(at_ns),
        }
    }

    /// The memory that this writer's [`Starts`] take, in bytes.
    pub fn table_bytes(&self) -> usize {
        match &self.shape {
            Shape::Constant | Shape::Burst(_) => 0,
            Shape::Poisson(poisson) => poisson.most_visits() * size_of::<u64>(),
        }
    }

    /// This writer's intended starts, from its first visit on.
    pub fn starts(&self) -> Starts {
        match self.shape {
            Shape::Constant => Starts(Course::Constant(self.even.starts())),
            Shape::Burst(burst) => Starts(Course::Burst(self.even.starts(), burst)),
            Shape::Poisson(poisson) => Starts(Course::Poisson(poisson.starts())),
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
}

impl Starts {
    /// The next intended start, which stays the next one.
    pub fn peek(&self) -> u64 {
        match &self.0 {
            Course::Constant(even) => even.peek(),
            Course::Burst(even, burst) => burst.due_ns(even.peek()),
            Course::Poisson(poisson) => poisson.peek(),
        }
    }

    /// Goes on to the visit after it.
    pub fn step(&mut self) {
        match &mut self.0 {
            Course::Constant(even) | Course::Burst(even, _) => even.step(),
            Course::Poisson(poisson) => poisson.step(),
        }
    }

    /// Goes to the first visit that is due at `at_ns` or later.
    pub fn seek(&mut self, at_ns: u64) {
        match &mut self.0 {
            Course::Constant(even) => even.seek(at_ns),
            Course::Burst(even, burst) => even.seek(burst.even_ns(at_ns)),
            Course::Poisson(poisson) => poisson.seek(at_ns),
        }
    }
}

#[cfg(test)]
mod tests;
