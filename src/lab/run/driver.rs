//! The state machine that takes a VM from boot to end: what is waited for, for how long, and what is wrong.
//!
//! The caller starts one goal at a time ([`VmDriver::boot`], [`VmDriver::migrate`], ...), hands in what happens with its
//! moment, and does what it gets back, until [`VmAction::Over`] says how the goal ended.

mod advance;
mod cycle;
mod exchange;
mod goals;
mod observer;
mod stage;
mod watched;

pub use cycle::{CyclePlan, NO_MAPPED_RAM, StateFile};
pub use exchange::{Obstacle, Renewal, VmAction, VmInput};
pub use observer::ObservePlan;
pub use watched::Baseline;

use super::guest::{GuestView, Stretch};
use super::link_rate::LinkRate;
use crate::lab::migrate::{Action, Input, MigrationEnd};
use crate::lab::vm::Exit;
use crate::record::{
    Arrival, Body, Command, CommandEnd, CycleFigures, LoadChange, MigrationSample, Milestone, MilestoneName,
    PageVerdict, Side,
};
use crate::units::{Nanos, Rate};
use cycle::BaselineWaits;
use exchange::one_line;
use serde_json::Value;
use stage::VmStage;

/// How often the guest is asked whether it hears.
const PING_PERIOD: Nanos = Nanos::from_secs(1);

/// Drives one VM, which two QEMUs pass from one to the other.
#[derive(Debug)]
pub struct VmDriver {
    stage: VmStage,
    guest: GuestView,
    /// The side the guest runs on: where it was resumed last.
    home: Side,
    source: Leftover,
    destination: Leftover,
    milestones: Vec<Milestone>,
    notes: Vec<String>,
    /// The source's last answer about the migration.
    sample: Option<MigrationSample>,
    migration: Option<MigrationEnd>,
    /// What visits took unperturbed.
    baseline: BaselineWaits,
    /// Cycles that are over, whichever way.
    cycles: Vec<CycleFigures>,
    /// Corrupt pages that the guest told of when it last looked at all.
    corrupt_pages: u64,
    /// The VM is another's, and was there before.
    is_attached: bool,
    /// When somebody began to migrate an attached guest, or could.
    started_ns: Option<u64>,
    /// Whoever did is through, and how the command for it ended.
    is_observed: bool,
    command_end: Option<CommandEnd>,
    /// What an attached guest found when it looked at every page, or why that is not known.
    pages: Option<Result<PageVerdict, String>>,
    /// What holds the load at its share of the link, where it is tied to it.
    link_rate: Option<LinkRate>,
    /// The latest moment that was handed in.
    now_ns: u64,
    next_ping_ns: u64,
    actions: Vec<VmAction>,
}

/// What is left of a side.
#[derive(Debug, Default)]
struct Leftover {
    exit: Option<Exit>,
    port_closed: bool,
}

impl VmDriver {
    /// A driver for a VM that began at `boot_ns`. All moments are host CLOCK_MONOTONIC, ns.
    pub fn new(boot_ns: u64) -> Self {
        Self {
            stage: VmStage::Idle,
            guest: GuestView::default(),
            home: Side::Source,
            source: Leftover::default(),
            destination: Leftover::default(),
            milestones: vec![Milestone { name: MilestoneName::Boot, host_ns: boot_ns }],
            notes: Vec::new(),
            sample: None,
            migration: None,
            baseline: BaselineWaits::default(),
            cycles: Vec::new(),
            corrupt_pages: 0,
            is_attached: false,
            started_ns: None,
            is_observed: false,
            command_end: None,
            pages: None,
            link_rate: None,
            now_ns: boot_ns,
            next_ping_ns: 0,
            actions: Vec::new(),
        }
    }

    /// What to do about `input`, which happened at `now_ns`.
    pub fn on(&mut self, now_ns: u64, input: VmInput) -> Vec<VmAction> {
        self.now_ns = self.now_ns.max(now_ns);
        if let VmStage::Cycling { driver } = &mut self.stage {
            driver.on(now_ns, &input);
        }
        if let VmStage::Observing { observer } = &mut self.stage {
            observer.on(now_ns, &input);
        }
        match input {
            VmInput::Tick => self.tick(),
            VmInput::Event { side, host_ns, name, data } => self.event(side, host_ns, name, data),
            VmInput::Answer { side, command, host_ns, result } => {
                self.answer(side, command, host_ns, result);
            }
            VmInput::Exited { side, exit, cause } => {
                let how = format!("{}{cause}", one_line(&exit));
                self.leftover(side).exit = Some(exit);
                self.drive(self.now_ns, Input::VmExited { side, how });
            }
            VmInput::PortClosed(side) => self.leftover(side).port_closed = true,
            VmInput::Record(arrival) => self.record(&arrival),
            // What is left of the one before is no part of it.
            VmInput::Renewed { side, .. } => *self.leftover(side) = Leftover::default(),
            VmInput::CommandEnded(_) => {}
            VmInput::NotTold { side, error } => self.over(Err(self.unwell(side, &error))),
            VmInput::Interrupted => self.interrupted(),
        }
        if let Some(obstacle) = self.lost() {
            self.over(Err(obstacle));
        }
        self.advance()
    }

    /// What the guest has said.
    pub const fn guest(&self) -> &GuestView {
        &self.guest
    }

    /// What happened when, in order.
    pub fn milestones(&self) -> Vec<Milestone> {
        let end = self.guest.end_ns.map(|host_ns| Milestone { name: MilestoneName::End, host_ns });
        let mut milestones: Vec<Milestone> = self.milestones.iter().copied().chain(end).collect();
        milestones.sort_by_key(|milestone| milestone.host_ns);
        milestones
    }

    /// What the reader of a report should know.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How the migration ended, where it came to one.
    pub const fn migration(&self) -> Option<&MigrationEnd> {
        self.migration.as_ref()
    }

    /// What was found in the cycles so far, the last one maybe in part.
    pub fn cycles(&self) -> &[CycleFigures] {
        &self.cycles
    }

    fn fork_side(&self) -> Option<Side> {
        match &self.stage {
            VmStage::Cycling { driver } => driver.fork_side(),
            _ => None,
        }
    }

    fn is_of_fork(&self, arrival: &Arrival) -> bool {
        let mut forks = self.cycles.iter().filter_map(|cycle| cycle.fork.as_ref());
        forks.any(|fork| fork.is_apart && fork.session == arrival.record.session)
    }

    /// The source's last answer about the migration.
    pub const fn sample(&self) -> Option<&MigrationSample> {
        self.sample.as_ref()
    }

    /// What is being done, in words.
    pub const fn step(&self) -> &'static str {
        self.stage.name()
    }

    /// Whether the guest has spoken and not yet been told to end. Before, there is nothing to lose; afterwards, nothing may
    /// stand in the way of the one command that ends it.
    pub fn is_in_conversation(&self) -> bool {
        let first_ns = if self.is_attached { self.guest.first_ns } else { self.guest.hello_ns };
        first_ns.is_some() && !self.has(MilestoneName::StopGuest)
    }

    fn tick(&mut self) {
        if self.is_in_conversation() && self.now_ns >= self.next_ping_ns {
            self.next_ping_ns = self.now_ns.saturating_add(PING_PERIOD.0);
            // The reply repeats the id, so its record holds both stamps of the round trip.
            let command = Command::Ping { id: Some(self.now_ns) };
            self.actions.push(VmAction::Offer { side: self.home, command });
        }
        self.drive(self.now_ns, Input::Tick);
    }

    fn event(&mut self, side: Side, host_ns: u64, name: String, data: Value) {
        if name == "RESUME" && self.fork_side() != Some(side) {
            self.home = side;
        }
        self.drive(host_ns, Input::Event { side, name, data });
    }

    fn answer(&mut self, side: Side, command: &'static str, host_ns: u64, result: Result<Value, String>) {
        let input = match result {
            Ok(value) if command == "query-migrate" => {
                let sample = MigrationSample::of_reply(&value);
                if side == Side::Source {
                    self.sample = Some(sample.clone());
                    self.hold_rate(host_ns, &sample);
                }
                Input::Sample(side, Box::new(sample))
            }
            Ok(value) => Input::CommandDone { side, command, value },
            Err(error) => Input::CommandFailed { side, command, error },
        };
        self.drive(host_ns, input);
    }

    fn record(&mut self, arrival: &Arrival) {
        // A second guest from one file is not the run's, whatever of it comes late.
        if self.fork_side() == Some(arrival.side) || self.is_of_fork(arrival) {
            return;
        }
        if let Body::Interval(interval) = &arrival.record.body {
            self.baseline.on(interval);
        }
        if self.is_attached {
            self.home = arrival.side;
        }
        let stretch = self.stretch(arrival.side);
        self.guest.on(arrival, stretch);
        match &arrival.record.body {
            Body::Mark(_) => self.drive(arrival.host_ns, Input::Marked),
            Body::Sweep(sweep) => self.swept(sweep),
            Body::Reply(reply) => self.refused(reply),
            Body::Interval(interval) => {
                if let Some(rate) = &mut self.link_rate {
                    rate.heard(interval);
                }
            }
            _ => {}
        }
    }

    /// What the guest does at present is to the migration.
    fn stretch(&self, side: Side) -> Stretch {
        match &self.stage {
            _ if side == Side::Destination || self.is_observed => Stretch::After,
            VmStage::Observing { observer } if observer.has_command() => Stretch::During,
            _ if self.has(MilestoneName::Migrate) => Stretch::During,
            _ => Stretch::Before,
        }
    }

    /// Hands what happened at `at_ns` to the migration's driver, while there is one, and passes on what it wants.
    fn drive(&mut self, at_ns: u64, input: Input) {
        let VmStage::Migrating { driver, .. } = &mut self.stage else { return };
        for action in driver.on(at_ns, input) {
            match action {
                Action::Mark(text) => {
                    let command = Command::Mark { id: None, text: text.into() };
                    self.actions.push(VmAction::Offer { side: self.home, command });
                }
                Action::Execute { side, command, arguments } => {
                    self.actions.push(VmAction::Execute { side, command, arguments });
                }
                Action::Query(side) => {
                    let (command, arguments) = ("query-migrate", Value::Null);
                    self.actions.push(VmAction::Execute { side, command, arguments });
                }
                Action::Milestone(milestone) => self.milestone(milestone.name, milestone.host_ns),
                Action::Note(note) => self.notes.push(note),
                Action::Finish(end) => {
                    self.migration = Some(*end);
                    self.release_rate();
                    self.over(Ok(()));
                }
            }
        }
    }

    /// Has a load that is tied to the link follow what the migration gets of it.
    fn hold_rate(&mut self, at_ns: u64, sample: &MigrationSample) {
        let is_migrating = matches!(self.stage, VmStage::Migrating { .. });
        let rate = self.link_rate.as_mut().filter(|_| is_migrating);
        if let Some(rate) = rate.and_then(|rate| rate.answered(at_ns, sample)) {
            // One that is lost is told again by the next answer.
            self.actions.push(VmAction::Offer { side: self.home, command: set_rate(rate) });
        }
    }

    /// The migration is over: a load that was tied to it goes on as it began.
    fn release_rate(&mut self) {
        let Some(rate) = &self.link_rate else { return };
        self.notes.push(rate.note());
        if rate.was_told() && self.gone(self.home).is_none() {
            self.actions.push(VmAction::Tell { side: self.home, command: set_rate(rate.at_rest()) });
        }
    }

    /// Writes down that something happened, the first time it does.
    fn milestone(&mut self, name: MilestoneName, host_ns: u64) {
        if !self.has(name) {
            self.milestones.push(Milestone { name, host_ns });
        }
    }

    /// When it happened, if it has.
    fn when(&self, name: MilestoneName) -> Option<u64> {
        self.milestones.iter().find(|milestone| milestone.name == name).map(|milestone| milestone.host_ns)
    }

    fn has(&self, name: MilestoneName) -> bool {
        self.when(name).is_some()
    }

    /// How a side's QEMU ended, once nothing more can come from it.
    fn gone(&self, side: Side) -> Option<&Exit> {
        let leftover = match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        };
        leftover.exit.as_ref().filter(|_| leftover.port_closed)
    }

    const fn leftover(&mut self, side: Side) -> &mut Leftover {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }

    /// A guest that is not well.
    fn unwell(&self, side: Side, sentence: &str) -> Obstacle {
        Obstacle::Guest { side, sentence: sentence.to_owned(), exit: self.gone(side).map(one_line) }
    }

    /// The goal is reached, or cannot be.
    fn over(&mut self, outcome: Result<(), Obstacle>) {
        match std::mem::replace(&mut self.stage, VmStage::Idle) {
            VmStage::Idle => return,
            VmStage::Cycling { driver } => {
                self.corrupt_pages = driver.corrupt_pages();
                self.cycles.push(driver.figures());
            }
            VmStage::Observing { observer } => self.observed(*observer),
            _ => {}
        }
        self.actions.push(VmAction::Over(outcome));
    }

    fn elapsed_ns(&self, since_ns: u64) -> u64 {
        self.now_ns.saturating_sub(since_ns)
    }
}

/// The command that gives the load another rate.
fn set_rate(rate: Rate) -> Command {
    Command::Set { id: None, change: LoadChange { rate: Some(rate.to_string()), ..LoadChange::default() } }
}

#[cfg(test)]
mod tests;
