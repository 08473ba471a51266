//! The goals of a VM that is another's: its guest is heard, waited for, watched while somebody migrates it, and looked at.

use super::VmDriver;
use super::exchange::{Obstacle, VmAction};
use super::observer::{ObservePlan, Observer};
use super::stage::VmStage;
use crate::record::{Command, CommandEnd, MilestoneName, PageVerdict, Reply, Side, SweepEnd};
use crate::units::Nanos;

/// Guests beat ten times a second: one that was silent for so long is lost.
const SILENT: Nanos = Nanos::from_secs(10);
/// How long a guest may take to look at every page; each of its writers takes 2 s at most.
const SWEEP_LIMIT: Nanos = Nanos::from_secs(6);
/// What the order to look at every page is known by in the answer.
const SWEEP_ID: u64 = 0x5eed;

/// What is waited for before anything is done to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// How long its load may take to be steady.
    pub steady_within: Nanos,
    /// How long it is then measured.
    pub length: Nanos,
}

impl VmDriver {
    /// A driver for a VM that is there already. All moments are host CLOCK_MONOTONIC, ns.
    pub fn attached(now_ns: u64) -> Self {
        let mut driver = Self::new(now_ns);
        driver.milestones.clear();
        driver.is_attached = true;
        driver
    }

    /// The guest is to be heard within `limit`.
    pub fn attach(&mut self, now_ns: u64, limit: Nanos) -> Vec<VmAction> {
        self.begin(now_ns, VmStage::Attaching { since_ns: now_ns, limit })
    }

    /// Its load is to be steady, and then to be measured for a while.
    pub fn take_baseline(&mut self, now_ns: u64, baseline: Baseline) -> Vec<VmAction> {
        let Baseline { steady_within: limit, length } = baseline;
        self.begin(now_ns, VmStage::Steadying { since_ns: now_ns, limit, length, steady_ns: None })
    }

    /// Whoever migrates the guest is to be through.
    pub fn observe(&mut self, now_ns: u64, plan: ObservePlan) -> Vec<VmAction> {
        self.started_ns = Some(now_ns);
        let observer = Box::new(Observer::new(now_ns, plan));
        self.begin(now_ns, VmStage::Observing { observer })
    }

    /// The guest is to look at every page. What it found is [`VmDriver::pages`]'s to say.
    pub fn sweep(&mut self, now_ns: u64) -> Vec<VmAction> {
        let command = Command::Sweep { id: Some(SWEEP_ID) };
        self.actions.push(VmAction::Offer { side: self.home, command });
        self.begin(now_ns, VmStage::Sweeping { since_ns: now_ns })
    }

    /// What the guest found when it looked at every page, or why that is not known; none where it was not told to look.
    pub const fn pages(&self) -> Option<&Result<PageVerdict, String>> {
        self.pages.as_ref()
    }

    /// When the command that migrates was started, or the watching began.
    pub const fn started_ns(&self) -> Option<u64> {
        self.started_ns
    }

    /// How the command ended that migrated the guest, where it did.
    pub const fn command_end(&self) -> Option<CommandEnd> {
        self.command_end
    }

    /// Whether the guest came out on another socket than it began on.
    pub const fn has_moved(&self) -> bool {
        matches!(self.home, Side::Destination)
    }

    pub(super) fn attaching(&mut self, since_ns: u64, limit: Nanos) {
        if let Some(at_ns) = self.guest.first_ns {
            self.milestone(MilestoneName::Hello, at_ns);
            self.over(Ok(()));
        } else if self.elapsed_ns(since_ns) >= limit.0 {
            self.over(Err(self.unwell(Side::Source, &format!("no guest was heard within --wait {limit}"))));
        }
    }

    pub(super) fn steadying(&mut self) {
        let VmStage::Steadying { since_ns, limit, length, steady_ns } = &mut self.stage else { return };
        if self.guest.is_steady() {
            steady_ns.get_or_insert(self.now_ns);
        }
        let (since_ns, limit, length, steady_ns) = (*since_ns, *limit, *length, *steady_ns);
        if self.guest.end.is_some() {
            self.over(Err(self.unwell(self.home, "the guest program ended before anything was done to it")));
        } else if let Some(at_ns) = steady_ns.filter(|at_ns| self.elapsed_ns(*at_ns) >= length.0) {
            self.milestone(MilestoneName::Steady, at_ns);
            self.over(Ok(()));
        } else if steady_ns.is_none() && self.elapsed_ns(since_ns) >= limit.0 {
            self.over(Err(Obstacle::NeverSteady(self.never_steady(limit))));
        }
    }

    pub(super) fn observing(&mut self) {
        let VmStage::Observing { observer } = &mut self.stage else { return };
        let (told, outcome) = (observer.take_milestones(), observer.outcome());
        let is_commanded = observer.is_commanded();
        for milestone in told {
            self.milestone(milestone.name, milestone.host_ns);
        }
        if let Some(outcome) = outcome {
            self.over(outcome);
        } else if self.guest.end.is_some() && !is_commanded {
            self.over(Ok(()));
        }
    }

    pub(super) fn sweeping(&mut self, since_ns: u64) {
        if self.pages.is_some() {
            self.over(Ok(()));
        } else if self.elapsed_ns(since_ns) >= SWEEP_LIMIT.0 && self.is_heard_since(since_ns) {
            self.pages = Some(Err(format!(
                "the guest did not say within {SWEEP_LIMIT} that it had looked at every page"
            )));
            self.over(Ok(()));
        }
    }

    /// Whether an attached guest spoke since then: one that did not may be lost, which takes longer to tell.
    pub(super) fn is_heard_since(&self, since_ns: u64) -> bool {
        !self.is_attached || self.guest.end.is_some() || self.guest.last_ns >= Some(since_ns)
    }

    /// A sweep of the guest's has ended.
    pub(super) fn swept(&mut self, sweep: &SweepEnd) {
        if !matches!(self.stage, VmStage::Sweeping { .. }) {
            return;
        }
        let of = self.guest.facts.pages;
        self.pages = Some(match sweep.corrupt_pages {
            None => Err("the guest's pages have no stamps".into()),
            Some(_) if of == 0 => {
                Err("the guest's first record, which says how many pages there are, came before".into())
            }
            Some(corrupt) => Ok(PageVerdict { looked_at: sweep.pages, of, corrupt }),
        });
    }

    /// The guest does not do what it was told.
    pub(super) fn refused(&mut self, reply: &Reply) {
        let is_of_sweep = reply.to == Some(SWEEP_ID) && matches!(self.stage, VmStage::Sweeping { .. });
        if is_of_sweep && !reply.ok {
            let why = reply.error.as_deref().unwrap_or("and gave no reason");
            self.pages = Some(Err(format!("the guest refused to look at its pages: {why}")));
        }
    }

    /// Somebody wants it to end. Where no command migrates, that is how the watching ends.
    pub(super) fn interrupted(&mut self) {
        let is_the_end = matches!(&self.stage, VmStage::Observing { observer } if !observer.has_command());
        self.over(if is_the_end { Ok(()) } else { Err(Obstacle::Interrupted) });
    }

    /// What was observed is over: what is known of it goes where that of a migration of the lab's own goes.
    pub(super) fn observed(&mut self, observer: Observer) {
        (self.is_observed, self.command_end) = (true, observer.command());
        let (end, milestones) = observer.conclude();
        self.migration = end;
        for milestone in milestones {
            self.milestone(milestone.name, milestone.host_ns);
        }
    }

    /// An attached guest that says nothing any more; while a command migrates it, it may be silent.
    pub(super) fn silent(&self) -> Option<Obstacle> {
        let (is_excused, end) = match &self.stage {
            VmStage::Attaching { .. } => (true, None),
            VmStage::Observing { observer } => (observer.is_commanded(), observer.command()),
            _ => (false, self.command_end()),
        };
        let ended_ns = end.map(|end| end.host_ns);
        let since_ns = self.guest.last_ns.max(ended_ns).filter(|_| !is_excused)?;
        (self.guest.end.is_none() && self.elapsed_ns(since_ns) >= SILENT.0).then(|| {
            self.unwell(self.home, &format!("the guest has been silent for {SILENT} while {}", self.step()))
        })
    }

    fn never_steady(&self, limit: Nanos) -> String {
        let pages = |pages: Option<u64>| pages.map_or("n/a".into(), |pages| format!("{pages} pages/s"));
        let (asked, achieved) = (self.guest.asked_pages_per_s, self.guest.achieved_pages_per_s);
        let asked = asked.map_or("as many as can be".into(), |asked| pages(Some(asked)));
        let away = self.guest.away.sentence().map_or_else(String::new, |away| format!("; {away}"));
        format!(
            "the load was not steady within --steady-within {limit}: asked for are {asked}, its last interval had {}{away}; a lower \
             rate, a quieter host, or a longer --steady-within",
            pages(achieved)
        )
    }
}
