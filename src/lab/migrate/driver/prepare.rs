//! Before a migration runs: both sides say what they can do, then are told what to do, one command at a time.

use super::postcopy::START_POSTCOPY;
use super::{Driver, Phase, index, word};
use crate::lab::migrate::setup::{agree, capability_hint, names, steps};
use crate::lab::migrate::{Action, MigrationResult};
use crate::record::{MilestoneName, Side};
use serde_json::Value;

impl Driver {
    pub(super) fn start(&mut self) {
        self.phase = Phase::Asking;
        for side in [Side::Source, Side::Destination] {
            self.execute(side, "query-migrate-capabilities", Value::Null);
        }
    }

    pub(super) fn done(&mut self, side: Side, command: &'static str, value: &Value) {
        match self.phase {
            Phase::Asking if command == "query-migrate-capabilities" => {
                self.known[index(side)] = Some(names(value));
                if let [Some(source), Some(destination)] = &self.known {
                    let agreement = agree(&self.spec, source, destination);
                    self.actions.extend(agreement.notes.into_iter().map(Action::Note));
                    if !agreement.missing.is_empty() {
                        return self.finish(MigrationResult::Failed, Some(agreement.missing.join("; ")));
                    }
                    self.blocktime = agreement.enabled.contains(&"postcopy-blocktime");
                    self.setup = steps(&self.spec, &agreement.enabled, &self.uri).into();
                    self.phase = Phase::Preparing;
                    self.tell();
                }
            }
            Phase::Preparing if self.is_current(side, command) => {
                self.setup.pop_front();
                if self.setup.is_empty() {
                    self.phase = Phase::Running;
                    self.query(Side::Source);
                } else {
                    self.tell();
                }
            }
            _ => {}
        }
    }

    pub(super) fn refused(&mut self, side: Side, command: &'static str, error: &str) {
        if command == "query-migrate" {
            self.asked[index(side)] = false;
            return;
        }
        let retry = if self.is_current(side, command) { self.setup.front_mut() } else { None };
        if let Some(step) = retry
            && let Some(otherwise) = step.otherwise.take()
        {
            step.arguments = otherwise;
            return self.tell();
        }
        if command == START_POSTCOPY {
            self.postcopy_refused();
        }
        let hint = if command == "migrate-set-capabilities" { capability_hint(&self.spec) } else { "" };
        let reason = format!("the {} QEMU refused {command}: {error}{hint}", word(side));
        match self.phase {
            Phase::Asking | Phase::Preparing => self.finish(MigrationResult::Failed, Some(reason)),
            Phase::Running => self.give_up(MigrationResult::Failed, reason),
            _ => {}
        }
    }

    /// Gives the next step of the preparation.
    fn tell(&mut self) {
        if let Some(step) = self.setup.front().cloned() {
            if step.command == "migrate" {
                self.started_ns = self.now_ns;
                self.milestone(self.now_ns, MilestoneName::Migrate);
            }
            self.execute(step.side, step.command, step.arguments);
        }
    }

    fn is_current(&self, side: Side, command: &str) -> bool {
        self.setup.front().is_some_and(|step| step.side == side && step.command == command)
    }
}
