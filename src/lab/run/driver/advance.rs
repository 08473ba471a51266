//! When a stage on the way to a goal is over, and after how long that is not waited for any more.

use super::VmDriver;
use super::exchange::{Obstacle, VmAction, one_line};
use super::stage::VmStage;
use crate::lab::run::away::AwayTime;
use crate::record::{MilestoneName, Side};
use crate::units::{Nanos, Rate};

/// How long the load may take to be steady, beyond its baseline.
const STEADY_LIMIT: Nanos = Nanos::from_secs(60);
/// What may be added to a migration's own limit: preparing, giving up, the last figures.
const MIGRATION_SLACK: Nanos = Nanos::from_secs(60);
/// The analysis looks at 5 s after a migration before it calls a load settled; so long a settled guest is kept.
const OBSERVED: Nanos = Nanos::from_secs(6);
/// How long the guest may take to end when it is told to.
const END_LIMIT: Nanos = Nanos::from_secs(20);
/// How long it may take from its last record to powering off.
const POWER_OFF_LIMIT: Nanos = Nanos::from_secs(20);

impl VmDriver {
    /// Looks whether the stage is over, and hands out what is to be done.
    pub(super) fn advance(&mut self) -> Vec<VmAction> {
        match self.stage {
            VmStage::Idle => {}
            VmStage::Booting { since_ns, limit } => self.booting(since_ns, limit),
            VmStage::Baseline { since_ns, length, asked } => self.baseline(since_ns, length, asked),
            VmStage::Attaching { since_ns, limit } => self.attaching(since_ns, limit),
            VmStage::Steadying { .. } => self.steadying(),
            VmStage::Observing { .. } => self.observing(),
            VmStage::Sweeping { since_ns } => self.sweeping(since_ns),
            VmStage::Migrating { since_ns, timeout, .. } => self.migrating(since_ns, timeout),
            VmStage::Cycling { .. } => self.cycling(),
            VmStage::Settling { since_ns, limit } => self.settling(since_ns, limit),
            VmStage::Ending { since_ns } => self.ending(since_ns),
            VmStage::PoweringOff { since_ns } => self.powering_off(since_ns),
        }
        std::mem::take(&mut self.actions)
    }

    fn booting(&mut self, since_ns: u64, limit: Nanos) {
        if let Some(at_ns) = self.guest.hello_ns {
            self.milestone(MilestoneName::Hello, at_ns);
            self.over(Ok(()));
        } else if self.elapsed_ns(since_ns) >= limit.0 {
            let sentence = format!("the guest sent no record within vm.hello_within = {limit}");
            self.over(Err(self.unwell(Side::Source, &sentence)));
        }
    }

    fn baseline(&mut self, since_ns: u64, length: Nanos, asked: Rate) {
        let limit = Nanos(length.0.saturating_add(STEADY_LIMIT.0));
        if self.guest.end.is_some() {
            let sentence = "the guest ended before the migration began";
            self.over(Err(self.unwell(Side::Source, sentence)));
        } else if self.guest.is_steady() {
            self.milestone(MilestoneName::Steady, self.now_ns);
            self.over(Ok(()));
        } else if self.elapsed_ns(since_ns) >= limit.0 {
            let sentence = never_steady(limit, asked, self.guest.achieved_pages_per_s, &self.guest.away);
            self.over(Err(Obstacle::NeverSteady(sentence)));
        }
    }

    fn migrating(&mut self, since_ns: u64, timeout: Nanos) {
        if self.elapsed_ns(since_ns) >= timeout.0.saturating_add(MIGRATION_SLACK.0) {
            self.over(Err(Obstacle::Vm("the migration neither ended nor could be ended".into())));
        }
    }

    fn cycling(&mut self) {
        let VmStage::Cycling { driver } = &mut self.stage else { return };
        self.actions.append(&mut driver.take_actions());
        let (outcome, step) = (driver.take_outcome(), driver.step_name());
        if let Some(outcome) = outcome {
            self.over(outcome);
        } else if self.guest.end.is_some() {
            self.over(Err(self.unwell(self.home, &format!("the guest ended while {step}"))));
        }
    }

    fn settling(&mut self, since_ns: u64, limit: Nanos) {
        let settled_at_ns = self.guest.settled_at_ns();
        let observed = settled_at_ns.is_some() && self.elapsed_ns(since_ns) >= OBSERVED.0;
        let completed_ns = self.when(MilestoneName::Completed).unwrap_or(since_ns);
        let out_of_time = self.elapsed_ns(completed_ns) >= limit.0 && self.is_heard_since(since_ns);
        if !(observed || out_of_time || self.guest.end.is_some()) {
            return;
        }
        if let Some(at_ns) = settled_at_ns {
            self.milestone(MilestoneName::Settled, at_ns);
        } else {
            let name = if self.is_attached { "--settle" } else { "migration.settle" };
            self.notes.push(not_settled(name, limit, &self.guest.away));
        }
        self.over(Ok(()));
    }

    fn ending(&mut self, since_ns: u64) {
        if self.guest.end.is_some() {
            self.stage = VmStage::PoweringOff { since_ns: self.now_ns };
            self.powering_off(self.now_ns);
        } else if self.elapsed_ns(since_ns) >= END_LIMIT.0 {
            let sentence = format!("the guest did not end within {END_LIMIT} of being told");
            self.over(Err(self.unwell(self.home, &sentence)));
        }
    }

    fn powering_off(&mut self, since_ns: u64) {
        if self.gone(self.home).is_some() {
            self.over(Ok(()));
        } else if self.elapsed_ns(since_ns) >= POWER_OFF_LIMIT.0 {
            self.notes
                .push(format!("the guest did not power off within {POWER_OFF_LIMIT} of its last record"));
            self.over(Ok(()));
        }
    }

    /// A guest whose QEMU ended without its last record is lost; before the migration either QEMU is one too many to lose.
    /// What is lost while it migrates, or is saved and restored, is for the driver of that to judge.
    pub(super) fn lost(&self) -> Option<Obstacle> {
        if matches!(self.stage, VmStage::Idle | VmStage::Migrating { .. } | VmStage::Cycling { .. }) {
            return None;
        }
        if self.is_attached {
            return self.silent();
        }
        let step = self.step();
        if self.gone(self.home).is_some() && self.guest.end.is_none() {
            return Some(self.unwell(self.home, &format!("the guest was lost while {step}")));
        }
        let destination = self
            .gone(Side::Destination)
            .filter(|_| !self.has(MilestoneName::Migrate) && self.cycles.is_empty())?;
        let how = one_line(destination);
        Some(Obstacle::Vm(format!("the destination QEMU ended while {step}: {how}")))
    }
}

/// That the load was not steady again.
fn not_settled(name: &str, limit: Nanos, away: &AwayTime) -> String {
    let away = away.sentence().map_or_else(String::new, |away| format!("; {away}"));
    format!("the load was not steady again within {name} = {limit} after the migration{away}")
}

/// That the load was never steady, and what may help.
fn never_steady(limit: Nanos, asked: Rate, achieved_pages_per_s: Option<u64>, away: &AwayTime) -> String {
    let Some(achieved) = achieved_pages_per_s else {
        return format!(
            "the load was never steady within {limit}: asked were {asked}, and no interval told what was achieved; a shorter \
             load.interval"
        );
    };
    let way_out = match asked {
        _ if away.is_busy() == Some(true) => {
            "the host is busy: a quieter one, fewer vm.cpus, or a lower load.rate"
        }
        Rate::PagesPerSecond(asked) if achieved.saturating_mul(10) < asked.saturating_mul(9) => {
            "lower load.rate"
        }
        _ => "its rate changes from interval to interval: a quieter host, or a longer load.interval",
    };
    let away = away.sentence().map_or_else(String::new, |away| format!("{away}; "));
    format!(
        "the load was never steady within {limit}: asked were {asked}, achieved in the last interval {achieved} pages/s; \
         {away}{way_out}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_was_never_steady_is_blamed_on_its_rate_only_where_that_was_not_reached() {
        let (limit, asked) = (Nanos::from_secs(60), Rate::PagesPerSecond(1000));
        let said = |achieved| never_steady(limit, asked, achieved, &AwayTime::default());
        assert!(said(Some(500)).ends_with("achieved in the last interval 500 pages/s; lower load.rate"));
        assert!(said(Some(990)).contains("990 pages/s; its rate changes"));
        assert!(said(None).contains("no interval told what was achieved") && !said(None).contains(" 0 "));
    }
}
