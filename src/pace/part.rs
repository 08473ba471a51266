//! What one writer has to keep: its part of the plan's rate.

use crate::{
    plan::{BacklogPolicy, Checked, Load, PaceSpec},
    units::Rate,
};

/// One writer's part of a rate that all writers of a region share equally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Of all these writers together: visits that write and visits that only read.
    pub rate: Rate,
    /// With how many visits a second, all these writers together, a ramp to that rate begins, and its length in ns.
    pub ramp: Option<(u64, u64)>,
    /// When visits are due.
    pub pace: PaceSpec,
    /// What becomes of late visits.
    pub backlog: BacklogPolicy,
    /// How many times faster than its schedule the writer catches up at most.
    pub catch_up: u32,
    /// Where random times start from.
    pub seed: u64,
    /// Which writer, from 0.
    pub writer: u32,
    /// How many there are.
    pub writers: u32,
    /// The CPU it is on, whose beats it keeps.
    pub cpu: u32,
    /// The ticks with which timers wake there; 0 where they wake when they are asked to.
    pub tick_ns: u64,
}

impl Part {
    /// The part of writer number `writer` of `plan` in `load`, on the first CPU, with timers that wake when they are asked to.
    pub fn of(plan: &Checked, load: &Load, writer: u32) -> Self {
        let share = plan.region_share(writer);
        let load = share.load(load);
        Self {
            rate: load.visit_rate(),
            ramp: load.visit_ramp(),
            pace: load.pace,
            backlog: load.backlog,
            catch_up: load.catch_up,
            // Regions have random times of their own; those of the first are the plan's.
            seed: plan.seed ^ u64::from(writer - share.writer) << 32,
            writer: share.writer,
            writers: share.writers,
            cpu: 0,
            tick_ns: 0,
        }
    }

    /// The most visits of a second of this one writer, over whole bursts; none for `max`.
    pub fn most_visits_per_s(&self) -> Option<u64> {
        let rate = self.rate.pages_per_s()?;
        let most = self.ramp.map_or(rate, |(from, _)| from.max(rate));
        Some(most.div_ceil(u64::from(self.writers.max(1))))
    }

    /// The same on another CPU, whose timers wake with ticks of so many ns.
    #[must_use]
    pub const fn on(self, cpu: u32, tick_ns: u64) -> Self {
        Self { cpu, tick_ns, ..self }
    }

    /// The whole of a rate at constant pace, repaid at the usual factor.
    #[cfg(test)]
    pub(crate) fn whole(rate: Rate) -> Self {
        Self {
            rate,
            ramp: None,
            pace: PaceSpec::Constant,
            backlog: BacklogPolicy::Repay,
            catch_up: 4,
            seed: 1,
            writer: 0,
            writers: 1,
            cpu: 0,
            tick_ns: 0,
        }
    }
}
