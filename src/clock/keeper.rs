//! Keeps the cycle counter in step with CLOCK_MONOTONIC, and gives it up for good once it is not.

use super::{Clock, ClockFailure, Counting, Monotonic, Resolution, line::Line, resolution, shared::Shared};
use std::sync::Arc;

/// The counter and the clock are read so often, and the tightest pair is taken.
const READINGS: usize = 5;
/// From two pairs closer together no rate is taken, nor from pairs that took more than this part of the time between
/// them to read: the thread was away meanwhile.
const APART_NS: u64 = 10_000_000;
const WIDEST_PART: u64 = 20_000;
/// Within this time, which is until the next check, a difference is to be gone.
const MENDING_NS: u64 = 100_000_000;
/// The counter has failed when it is off by this, and by a further part of the time since the last check: the kernel
/// may steer its clock by 500 millionths, one way and then the other.
const TOLERANCE_NS: u64 = 20_000;
const TOLERANCE_PART: u64 = 1000;
/// Where CLOCK_MONOTONIC takes longer steps than this it tells the time at each step alone. That is waited for, in every tenth check,
/// and the kernel may miss so many of them.
const COARSE_NS: u64 = 10_000;
const COARSE_CHECKS: u32 = 10;
const STEPS_MISSED: u64 = 2;

/// The two clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) cycles: u64,
    pub(super) mono_ns: u64,
    /// How long reading them took.
    pub(super) width_ns: u64,
}

impl Pair {
    fn read(step_ns: u64) -> Option<Self> {
        if step_ns > COARSE_NS {
            return Self::at_step();
        }
        let readings = (0..READINGS).filter_map(|_| {
            let before_ns = Monotonic.now_ns();
            let cycles = super::cycles()?;
            let width_ns = Monotonic.now_ns().saturating_sub(before_ns);
            Some(Self { cycles, mono_ns: before_ns + width_ns / 2, width_ns })
        });
        readings.min_by_key(|pair| pair.width_ns)
    }

    /// When CLOCK_MONOTONIC takes its next step.
    fn at_step() -> Option<Self> {
        let before_ns = Monotonic.now_ns();
        loop {
            let cycles = super::cycles()?;
            let mono_ns = Monotonic.now_ns();
            if mono_ns != before_ns {
                return Some(Self { cycles, mono_ns, width_ns: 0 });
            }
        }
    }
}

/// Keeps the clocks of all threads.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    /// None where the counter is not to be trusted, from the start or any more.
    last: Option<Pair>,
    line: Option<Line>,
    /// Of CLOCK_MONOTONIC.
    monotonic: Resolution,
    checks: u32,
}

impl Keeper {
    /// Looks at the counter for the first time, where it is to be used. All clocks show CLOCK_MONOTONIC until its pace is
    /// known, and for good where there is none. Takes up to 100 ms where that clock is coarse.
    pub fn new(is_used: bool) -> Self {
        let monotonic = resolution(&Monotonic);
        Self::from(is_used.then(|| Pair::read(monotonic.step_ns)).flatten(), monotonic)
    }

    pub(super) fn from(first: Option<Pair>, monotonic: Resolution) -> Self {
        let shared = Arc::new(Shared::of(coarse(monotonic)));
        Self { shared, last: first, line: None, monotonic, checks: 0 }
    }

    /// What the clock that stamps now tells apart.
    pub fn resolution(&self) -> Resolution {
        if self.line.is_some() { resolution(&self.clock()) } else { self.monotonic }
    }

    /// The steps in which times are told now; 0 where the counter tells them, whose steps are its cycles.
    pub fn step_ns(&self) -> u64 {
        if self.line.is_some() { 0 } else { self.monotonic.step_ns }
    }

    /// A clock for a thread.
    pub fn clock(&self) -> Counting {
        Counting::new(Arc::clone(&self.shared))
    }

    /// Whether there is a counter that is used, or will be once its pace is known.
    pub const fn counts(&self) -> bool {
        self.last.is_some()
    }

    /// Cycles a second; none while CLOCK_MONOTONIC is used.
    pub fn hz(&self) -> Option<u64> {
        self.line.map(|line| line.hz())
    }

    /// Compares the counter with CLOCK_MONOTONIC, to be called about every 100 ms. Returns how it failed, once.
    pub fn check(&mut self) -> Option<ClockFailure> {
        self.last?;
        self.checks = self.checks.wrapping_add(1);
        if coarse(self.monotonic) > 0
            && !self.checks.is_multiple_of(COARSE_CHECKS)
            && self.shared.failure().is_none()
        {
            return None;
        }
        self.on(Pair::read(self.monotonic.step_ns)?)
    }

    pub(super) fn on(&mut self, pair: Pair) -> Option<ClockFailure> {
        let last = self.last?;
        let span_ns = pair.mono_ns.saturating_sub(last.mono_ns);
        if let Some(line) = self.line {
            let (shown_ns, part_ns) = (line.ns(pair.cycles), span_ns / TOLERANCE_PART);
            let off_ns = shown_ns.abs_diff(pair.mono_ns);
            let step_ns = coarse(self.monotonic).saturating_mul(STEPS_MISSED);
            if off_ns
                > TOLERANCE_NS.saturating_add(part_ns).saturating_add(pair.width_ns).saturating_add(step_ns)
            {
                self.shared.fail(shown_ns, pair.mono_ns);
            }
        }
        if let Some(failure) = self.shared.failure() {
            self.shared.publish(Line::default());
            (self.last, self.line) = (None, None);
            return Some(failure);
        }
        if span_ns < APART_NS || pair.width_ns.saturating_add(last.width_ns) > span_ns / WIDEST_PART {
            return None;
        }
        let rate = Line::rate(pair.cycles.wrapping_sub(last.cycles), span_ns)?;
        let line = match self.line {
            None => Line { origin_cycles: pair.cycles, origin_ns: pair.mono_ns, rate },
            Some(line) => {
                // Within the tolerance, as just checked.
                let error_ns = pair.mono_ns.wrapping_sub(line.ns(pair.cycles)).cast_signed();
                line.bent(pair.cycles, rate, error_ns, MENDING_NS)
            }
        };
        self.shared.publish(line);
        (self.last, self.line) = (Some(pair), Some(line));
        None
    }
}

/// The steps of a coarse clock; 0 of one that is not.
fn coarse(clock: Resolution) -> u64 {
    if clock.step_ns > COARSE_NS { clock.step_ns } else { 0 }
}

#[cfg(test)]
mod tests;
