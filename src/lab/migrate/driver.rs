//! The state machine that drives one migration.

mod middle;
mod postcopy;
mod prepare;
mod steps;
mod switch;

use super::setup::Step;
use super::{Action, Input, MigrationEnd, MigrationResult, Uris};
use crate::lab::scenario::MigrationSpec;
use crate::record::{MigrationSample, Milestone, MilestoneName, Side};
use crate::units::Nanos;
use middle::Middle;
use postcopy::Postcopy;
use serde_json::Value;
use std::collections::VecDeque;

/// QEMU can say `completed` before it has filled in the figures: so long it is asked again.
const FIGURES_LIMIT: Nanos = Nanos::from_secs(2);
/// A side that says the migration failed often says so because the other QEMU ended: so long that is waited for.
const CAUSE_LIMIT: Nanos = Nanos::from_secs(1);
/// How long QEMU may take to give a migration up.
const CANCEL_LIMIT: Nanos = Nanos::from_secs(5);

/// Drives one migration.
#[derive(Debug)]
pub struct Driver {
    spec: MigrationSpec,
    uris: Uris,
    phase: Phase,
    /// The latest moment that was handed in.
    now_ns: u64,
    started_ns: u64,
    setup: VecDeque<Step>,
    /// What each side answered when asked for its capabilities.
    known: [Option<Vec<String>>; 2],
    /// What each side answered when asked for the parameters it takes, where the scenario names some.
    parameters: [Option<Vec<String>>; 2],
    /// What is done while it runs.
    middle: Middle,
    blocktime: bool,
    postcopy: Postcopy,
    /// The destination began to run the guest.
    resumed: bool,
    peak_throttle_percent: Option<u64>,
    last: [Option<MigrationSample>; 2],
    /// A side that has not answered yet is not asked again.
    asked: [bool; 2],
    actions: Vec<Action>,
}

#[derive(Debug)]
enum Phase {
    Idle,
    /// Both sides say what they can do.
    Asking,
    /// The steps of the preparation, one by one.
    Preparing,
    Running,
    /// Complete; the last figures are missing.
    Figures {
        since_ns: u64,
    },
    /// One side says it failed; whether the other QEMU's end is the cause is not known yet.
    Failing {
        since_ns: u64,
        reason: String,
    },
    /// Given up; QEMU is bringing the guest back.
    Cancelling {
        since_ns: u64,
        result: MigrationResult,
        reason: String,
    },
    Over,
}

impl Driver {
    /// A driver for a migration that takes this way.
    pub fn new(spec: &MigrationSpec, uris: Uris) -> Self {
        Self {
            spec: spec.clone(),
            uris,
            phase: Phase::Idle,
            now_ns: 0,
            started_ns: 0,
            setup: VecDeque::new(),
            known: [None, None],
            parameters: [None, None],
            middle: Middle::new(spec.steps()),
            blocktime: false,
            postcopy: Postcopy::Not,
            resumed: false,
            peak_throttle_percent: None,
            last: [None, None],
            asked: [false, false],
            actions: Vec::new(),
        }
    }

    /// What to do about `input`, which happened at `now_ns` (host CLOCK_MONOTONIC).
    pub fn on(&mut self, now_ns: u64, input: Input) -> Vec<Action> {
        self.now_ns = self.now_ns.max(now_ns);
        match (input, &self.phase) {
            (Input::Start, Phase::Idle) => self.start(),
            (Input::Start, _) | (_, Phase::Over) => {}
            (Input::Tick, _) => self.tick(),
            (Input::CommandDone { side, command, value }, _) => self.done(side, command, &value),
            (Input::CommandFailed { side, command, error }, _) => self.refused(side, command, &error),
            (Input::Sample(side, sample), _) => self.sample(side, *sample),
            (Input::Event { side, name, data }, _) => self.event(now_ns, side, &name, &data),
            (Input::VmExited { side, how }, _) => self.exited(side, &how),
            (Input::Marked, _) => self.marked(now_ns),
            (Input::Cancel, _) => self.give_up(MigrationResult::Cancelled, "it was cancelled".into()),
        }
        self.take_steps();
        self.release_postcopy();
        std::mem::take(&mut self.actions)
    }

    fn tick(&mut self) {
        match &self.phase {
            Phase::Running => {
                if self.elapsed_ns(self.started_ns) >= self.spec.timeout.0 {
                    let reason =
                        format!("it was not complete after migration.timeout = {}", self.spec.timeout);
                    return self.give_up(MigrationResult::TimedOut, reason);
                }
                self.query_all();
            }
            Phase::Figures { since_ns } => {
                if self.elapsed_ns(*since_ns) >= FIGURES_LIMIT.0 {
                    return self.finish(MigrationResult::Completed, None);
                }
                self.query_all();
            }
            Phase::Failing { since_ns, reason } => {
                if self.elapsed_ns(*since_ns) >= CAUSE_LIMIT.0 {
                    self.lost(reason.clone());
                }
            }
            Phase::Cancelling { since_ns, result, reason } => {
                if self.elapsed_ns(*since_ns) >= CANCEL_LIMIT.0 {
                    let (result, reason) = (*result, format!("{reason}; QEMU did not give it up in time"));
                    return self.finish(result, Some(reason));
                }
                self.query(Side::Source);
            }
            Phase::Idle | Phase::Asking | Phase::Preparing | Phase::Over => {}
        }
    }

    fn sample(&mut self, side: Side, sample: MigrationSample) {
        self.asked[index(side)] = false;
        let status = sample.status.clone().unwrap_or_default();
        let error = sample.error.clone();
        let fetched = sample.ram.as_ref().is_some_and(|ram| ram.postcopy_bytes > Some(0));
        self.peak_throttle_percent = self.peak_throttle_percent.max(sample.cpu_throttle_percent);
        if side == Side::Source && status == "active" {
            self.middle.passes.take(&sample);
        }
        self.last[index(side)] = Some(sample);
        match side {
            Side::Source => {
                // Without migration events a short post-copy can lie between two answers.
                if fetched {
                    self.postcopy_began();
                }
                self.status(&status, error.as_deref());
            }
            Side::Destination if status == "failed" => {
                let reason = format!("the destination QEMU says: {}", error.as_deref().unwrap_or("failed"));
                self.failing(reason);
            }
            Side::Destination => self.destination_stands(&status),
        }
        self.finish_with_figures();
    }

    /// The source can be through before the destination has said that the guest runs.
    fn finish_with_figures(&mut self) {
        if matches!(self.phase, Phase::Figures { .. }) && self.resumed && self.figures_are_there() {
            self.finish(MigrationResult::Completed, None);
        }
    }

    fn event(&mut self, at_ns: u64, side: Side, name: &str, data: &Value) {
        match (side, name) {
            (Side::Source, "STOP") => self.milestone(at_ns, MilestoneName::Stop),
            (Side::Destination, "RESUME") => {
                self.resumed = true;
                self.milestone(at_ns, MilestoneName::Resume);
                self.finish_with_figures();
            }
            (Side::Source, "MIGRATION_PASS") => {
                self.middle.passes.reach(data.get("pass").and_then(Value::as_u64).unwrap_or_default());
                if self.middle.watches_convergence() {
                    // How much a pass has to send is told best at its beginning.
                    self.query(Side::Source);
                }
            }
            (Side::Source, "MIGRATION") => {
                let status = data.get("status").and_then(Value::as_str).unwrap_or_default();
                match status {
                    // Why it failed is in the next answer, not in the event.
                    "failed" | "cancelled" => self.query(Side::Source),
                    status => self.status(status, None),
                }
            }
            (Side::Destination, "MIGRATION") => match data.get("status").and_then(Value::as_str) {
                Some("failed") => self.query(Side::Destination),
                Some(status) => self.destination_stands(status),
                None => {}
            },
            _ => {}
        }
    }

    /// What the source says of the migration, by event or by answer.
    fn status(&mut self, status: &str, error: Option<&str>) {
        if status.starts_with("postcopy-") {
            self.postcopy_began();
        }
        match (status, &self.phase) {
            ("completed", Phase::Running | Phase::Cancelling { .. }) => {
                self.milestone(self.now_ns, MilestoneName::Completed);
                self.release_guest(Side::Destination);
                self.phase = Phase::Figures { since_ns: self.now_ns };
                self.query_all();
            }
            ("failed" | "cancelled", Phase::Cancelling { result, reason, .. }) => {
                let (result, reason) = (*result, reason.clone());
                self.finish(result, Some(reason));
            }
            ("failed" | "cancelled", Phase::Running) => {
                let why = error.unwrap_or("no reason given");
                self.failing(format!("the source QEMU says {status}: {why}"));
            }
            ("postcopy-paused", Phase::Running) if !self.will_recover() => {
                let why = error.map(|error| format!(": {error}")).unwrap_or_default();
                let reason = format!(
                    "post-copy broke off{why}; the guest's memory is split between both sides and neither can run it"
                );
                self.failing(reason);
            }
            _ => {}
        }
    }

    fn exited(&mut self, side: Side, how: &str) {
        let reason = format!("the {} QEMU ended in the middle: {how}", word(side));
        match (&self.phase, side) {
            (Phase::Idle | Phase::Over, _) => {}
            // The guest has left the source; what its QEMU could still say is missing, and nothing else.
            (Phase::Figures { .. }, Side::Source) => self.finish(MigrationResult::Completed, None),
            // Before 9.1 a destination ends when its migration is cancelled: what the source says is what counts.
            (Phase::Cancelling { .. }, Side::Destination) => self.query(Side::Source),
            (Phase::Failing { reason: symptom, .. }, _) => self.lost(format!("{reason}; {symptom}")),
            _ => self.lost(reason),
        }
    }

    /// Takes a side's word that the migration failed, and waits a moment for its cause: a QEMU that ended.
    fn failing(&mut self, reason: String) {
        if !matches!(self.phase, Phase::Failing { .. } | Phase::Cancelling { .. } | Phase::Over) {
            self.phase = Phase::Failing { since_ns: self.now_ns, reason };
        }
    }

    fn lost(&mut self, reason: String) {
        self.finish(MigrationResult::Failed, Some(reason));
    }

    /// Ends a migration that still runs; the guest comes back to the source where that is possible.
    fn give_up(&mut self, result: MigrationResult, reason: String) {
        match self.phase {
            // Cancelling a post-copy would kill the guest: it runs, let it be.
            Phase::Running if self.postcopy != Postcopy::Active => {
                self.phase = Phase::Cancelling { since_ns: self.now_ns, result, reason };
                self.execute(Side::Source, "migrate_cancel", Value::Null);
            }
            Phase::Cancelling { .. } | Phase::Over => {}
            _ => self.finish(result, Some(reason)),
        }
    }

    fn figures_are_there(&self) -> bool {
        let [source, destination] = &self.last;
        let source = source.as_ref().is_some_and(|sample| {
            sample.status.as_deref() == Some("completed") && sample.downtime_ms.is_some_and(|time| time > 0)
        });
        let blocktime = || destination.as_ref().is_some_and(|sample| sample.postcopy_blocktime_ms.is_some());
        source && (self.postcopy != Postcopy::Active || !self.blocktime || blocktime())
    }

    fn finish(&mut self, result: MigrationResult, reason: Option<String>) {
        self.phase = Phase::Over;
        // The answer that says so can have all the figures.
        if result == MigrationResult::Completed {
            self.precopy_was_through();
        }
        self.tell_left_steps();
        self.release_guest(Side::Source);
        let [source, destination] = std::mem::take(&mut self.last);
        self.actions.push(Action::Finish(Box::new(MigrationEnd {
            result,
            reason,
            source,
            destination,
            postcopy: self.postcopy == Postcopy::Active,
            peak_throttle_percent: self.peak_throttle_percent,
        })));
    }

    fn query_all(&mut self) {
        self.query(Side::Source);
        if self.postcopy.is_ordered() {
            self.query(Side::Destination);
        }
    }

    fn query(&mut self, side: Side) {
        if !std::mem::replace(&mut self.asked[index(side)], true) {
            self.actions.push(Action::Query(side));
        }
    }

    fn execute(&mut self, side: Side, command: &'static str, arguments: Value) {
        self.actions.push(Action::Execute { side, command, arguments });
    }

    fn milestone(&mut self, host_ns: u64, name: MilestoneName) {
        self.actions.push(Action::Milestone(Milestone { name, host_ns }));
    }

    fn elapsed_ns(&self, since_ns: u64) -> u64 {
        self.now_ns.saturating_sub(since_ns)
    }
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Destination)
}

fn word(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Destination => "destination",
    }
}

#[cfg(test)]
mod tests;
