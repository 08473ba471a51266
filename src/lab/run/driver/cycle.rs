//! One cycle as a state machine without I/O: the guest is stopped, saved into a file, restored from it into a new QEMU, and looked at.

mod plan;
mod step;
mod steps;
mod waits;

pub use plan::{CyclePlan, NO_MAPPED_RAM, StateFile};
pub use waits::BaselineWaits;

use super::exchange::{Obstacle, VmAction, VmInput, one_line};
use crate::lab::migrate::names;
use crate::lab::run::guest::GuestFacts;
use crate::record::{
    Arrival, Body, Command, CycleFigures, ForkFigures, MigrationSample, PageVerdict, SessionId, Side,
};
use plan::StateUris;
use serde_json::Value;
use std::collections::VecDeque;
use step::CycleStep;
use waits::VisitsAfter;

/// What is known when a cycle begins.
#[derive(Debug, Clone)]
pub struct Before {
    /// Where the guest is.
    pub home: Side,
    /// What its first record told.
    pub facts: GuestFacts,
    /// What its visits took unperturbed.
    pub baseline: BaselineWaits,
    /// Corrupt pages that it has found so far.
    pub corrupt_pages: u64,
}

/// Drives one cycle.
#[derive(Debug)]
pub struct CycleDriver {
    plan: CyclePlan,
    before: Before,
    step: CycleStep,
    /// Since when it is in that step.
    since_ns: u64,
    now_ns: u64,
    /// Where the guest is restored.
    target: Side,
    is_fork: bool,
    uris: StateUris,
    /// What one QEMU is still to be told, in order; the first is under way.
    orders: VecDeque<(&'static str, Value)>,
    ordered_ns: u64,
    resumed_ns: u64,
    visits: VisitsAfter,
    session: Option<SessionId>,
    fork_restore_ns: u64,
    figures: CycleFigures,
    corrupt_pages: u64,
    actions: Vec<VmAction>,
    outcome: Option<Result<(), Obstacle>>,
}

impl CycleDriver {
    /// A cycle that begins at `now_ns`.
    pub fn new(now_ns: u64, plan: CyclePlan, before: Before) -> Self {
        let (figures, corrupt_pages) = (
            CycleFigures { number: plan.number, began_ns: now_ns, ..CycleFigures::default() },
            before.corrupt_pages,
        );
        let mut driver = Self {
            target: other(before.home),
            plan,
            before,
            step: CycleStep::Asking,
            since_ns: now_ns,
            now_ns,
            is_fork: false,
            uris: StateUris::default(),
            orders: VecDeque::new(),
            ordered_ns: now_ns,
            resumed_ns: now_ns,
            visits: VisitsAfter::default(),
            session: None,
            fork_restore_ns: 0,
            figures,
            corrupt_pages,
            actions: Vec::new(),
            outcome: None,
        };
        driver.order([("query-qmp-schema", Value::Null), ("query-migrate-capabilities", Value::Null)].into());
        driver
    }

    /// Takes in what happened.
    pub fn on(&mut self, now_ns: u64, input: &VmInput) {
        self.now_ns = self.now_ns.max(now_ns);
        match input {
            VmInput::Tick => self.tick(),
            VmInput::Answer { side, command, host_ns, result } if *side == self.active() => {
                self.answer(command, *host_ns, result);
            }
            VmInput::Event { side, host_ns, name, data } if *side == self.active() => {
                self.event(*host_ns, name, data);
            }
            VmInput::Record(arrival) => self.record(arrival),
            VmInput::Renewed { side, result } if *side == self.target => self.renewed(result),
            VmInput::Exited { side, exit, cause } if self.needs(*side) => {
                let exit = one_line(exit);
                self.fail(&format!("the QEMU of the {} ended: {exit}{cause}", word(*side)));
            }
            _ => {}
        }
    }

    /// What it wants done.
    pub fn take_actions(&mut self) -> Vec<VmAction> {
        std::mem::take(&mut self.actions)
    }

    /// How it ended, once.
    pub const fn take_outcome(&mut self) -> Option<Result<(), Obstacle>> {
        self.outcome.take()
    }

    /// What was found so far, and that what is missing without a reason was not come to.
    pub fn figures(&self) -> CycleFigures {
        let mut figures = self.figures.clone();
        for (is_told, reason) in [
            (figures.first_touch.is_some(), &mut figures.first_touch_reason),
            (figures.paid.is_some(), &mut figures.paid_reason),
            (figures.recover_ns.is_some(), &mut figures.recover_reason),
        ] {
            if !is_told && reason.is_none() {
                *reason = Some(format!("the cycle ended while {}", self.step.name()));
            }
        }
        figures
    }

    /// Corrupt pages that the guest has found in all.
    pub const fn corrupt_pages(&self) -> u64 {
        self.corrupt_pages
    }

    /// The side of a second guest of the same file, which is not the run's.
    pub fn fork_side(&self) -> Option<Side> {
        self.is_fork.then_some(self.target)
    }

    /// What is being done, in words.
    pub const fn step_name(&self) -> &'static str {
        self.step.name()
    }

    /// The QEMU that it is about.
    fn active(&self) -> Side {
        if self.step.is_before_restore() { self.before.home } else { self.target }
    }

    /// Whether the cycle cannot go on without the QEMU of that side: the run's own guest is by itself while another of its file is
    /// looked at.
    fn needs(&self, side: Side) -> bool {
        (side == self.active() && !self.is_renewing()) || (self.is_fork && side == other(self.target))
    }

    fn is_renewing(&self) -> bool {
        self.step == CycleStep::Renewing
    }

    fn enter(&mut self, step: CycleStep) {
        (self.step, self.since_ns) = (step, self.now_ns);
    }

    /// Gives the active QEMU these commands, one after the other.
    fn order(&mut self, orders: VecDeque<(&'static str, Value)>) {
        self.orders = orders;
        self.give_next();
    }

    fn give_next(&mut self) {
        let Some((command, arguments)) = self.orders.front().cloned() else { return };
        self.ordered_ns = self.now_ns;
        self.actions.push(VmAction::Execute { side: self.active(), command, arguments });
    }

    fn tell(&mut self, command: Command) {
        self.actions.push(VmAction::Tell { side: self.active(), command });
    }

    fn fail(&mut self, why: &str) {
        let sentence = format!("cycle {}, {}: {why}", self.plan.number, self.step.name());
        self.outcome.get_or_insert(Err(Obstacle::Vm(sentence)));
    }

    fn tick(&mut self) {
        let elapsed_ns = self.now_ns.saturating_sub(self.since_ns);
        if self.step == CycleStep::Watching {
            if self.visits.is_over() || elapsed_ns >= self.plan.settle.0 {
                self.watched();
            }
        } else if elapsed_ns >= self.plan.timeout.0 {
            self.fail(&format!("it was not over within migration.timeout = {}", self.plan.timeout));
        } else if self.step.is_transfer() && self.orders.is_empty() {
            let (command, arguments) = ("query-migrate", Value::Null);
            self.actions.push(VmAction::Execute { side: self.active(), command, arguments });
        }
    }

    fn answer(&mut self, command: &'static str, host_ns: u64, result: &Result<Value, String>) {
        match result {
            Ok(value) if command == "query-migrate" => {
                let sample = MigrationSample::of_reply(value);
                match sample.status.as_deref() {
                    Some("completed") => self.transferred(host_ns),
                    Some("failed" | "cancelled") if self.step.is_transfer() => {
                        self.fail(sample.error.as_deref().unwrap_or("QEMU gave up, and no reason"));
                    }
                    _ => {}
                }
            }
            Err(error) if self.orders.front().is_some_and(|(ordered, _)| *ordered == command) => {
                self.fail(&format!("QEMU refused {command}: {error}"));
            }
            Ok(value) if self.orders.front().is_some_and(|(ordered, _)| *ordered == command) => {
                match command {
                    "query-qmp-schema" => self.uris = self.plan.file.uris(value),
                    "query-migrate-capabilities" => self.figures_need(&names(value)),
                    _ => {}
                }
                self.orders.pop_front();
                if self.orders.is_empty() { self.ordered() } else { self.give_next() }
            }
            _ => {}
        }
    }

    /// What is asked of the file has to be had.
    fn figures_need(&mut self, known: &[String]) {
        if let Some(why) = self.plan.missing(known, &self.uris) {
            self.fail(&why);
        }
    }

    fn event(&mut self, host_ns: u64, name: &str, data: &Value) {
        match (name, data.get("status").and_then(Value::as_str)) {
            ("MIGRATION", Some("completed")) => self.transferred(host_ns),
            ("RESUME", _) if self.step == CycleStep::Resuming => self.resumed(host_ns),
            _ => {}
        }
    }

    fn record(&mut self, arrival: &Arrival) {
        if arrival.side != self.active() {
            return;
        }
        if self.is_fork {
            self.fork_spoke(arrival.record.session);
        }
        match (&self.step, &arrival.record.body) {
            (_, Body::End(_)) if self.is_fork => self.fail("the second guest of its file ended"),
            (CycleStep::Dirtying, Body::Dirtied(dirtied)) => {
                self.figures.dirtied_pages = Some(dirtied.pages);
                self.stop();
            }
            (CycleStep::Dirtying, Body::Reply(reply)) if !reply.ok && reply.to == Some(self.since_ns) => {
                self.fail(reply.error.as_deref().unwrap_or("the guest refused, and gave no reason"));
            }
            (CycleStep::Watching, Body::Interval(interval)) if interval.phase == self.plan.phase() => {
                self.session = Some(arrival.record.session);
                self.visits.on(arrival.host_ns, interval);
            }
            (CycleStep::Sweeping, Body::Sweep(sweep)) => {
                let Some(found) = sweep.corrupt_pages else {
                    return self.fail("the guest looked at its pages and did not say what it found");
                };
                let pages = PageVerdict {
                    looked_at: sweep.pages,
                    of: self.before.facts.pages,
                    corrupt: found.saturating_sub(self.before.corrupt_pages),
                };
                self.swept(arrival.record.session, found, pages);
            }
            _ => {}
        }
    }

    /// The second guest said something. Whatever becomes of it, what it says under a session of its own is not the run's.
    fn fork_spoke(&mut self, session: SessionId) {
        let fork = self.fork(session);
        if fork.is_apart {
            self.figures.fork.get_or_insert(fork);
        }
    }

    fn fork(&self, session: SessionId) -> ForkFigures {
        let is_apart = self.session != Some(session);
        ForkFigures { restore_ns: self.fork_restore_ns, session, is_apart, pages: None }
    }

    fn swept(&mut self, session: SessionId, found: u64, pages: PageVerdict) {
        if self.is_fork {
            self.figures.fork = Some(ForkFigures { pages: Some(pages), ..self.fork(session) });
            // What it might still say belongs to no run.
            let (command, arguments) = ("stop", Value::Null);
            self.actions.push(VmAction::Execute { side: self.target, command, arguments });
            self.outcome = Some(Ok(()));
        } else {
            (self.figures.pages, self.corrupt_pages) = (Some(pages), found);
            self.session.get_or_insert(session);
            self.end_or_fork();
        }
    }
}

/// The side that is not this one.
const fn other(side: Side) -> Side {
    match side {
        Side::Source => Side::Destination,
        Side::Destination => Side::Source,
    }
}

const fn word(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Destination => "destination",
    }
}
