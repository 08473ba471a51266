//! Before a migration runs: both sides say what they can do, then are told what to do, one command at a time.

use super::postcopy::START_POSTCOPY;
use super::{Driver, Phase, index, word};
use crate::lab::migrate::offer::{arguments_of, names};
use crate::lab::migrate::setup::{SET_PARAMETERS, agree, capability_hint, missing_parameters, steps};
use crate::lab::migrate::{Action, MigrationResult};
use crate::record::{MilestoneName, Side};
use serde_json::Value;

/// Asks a QEMU which capabilities it has.
const CAPABILITIES: &str = "query-migrate-capabilities";
/// Asks a QEMU for all that its commands take.
const SCHEMA: &str = "query-qmp-schema";

impl Driver {
    pub(super) fn start(&mut self) {
        self.phase = Phase::Asking;
        for side in [Side::Source, Side::Destination] {
            self.execute(side, CAPABILITIES, Value::Null);
            if self.spec.names_parameters() {
                self.execute(side, SCHEMA, Value::Null);
            }
        }
    }

    /// Once both sides have said all they were asked: what they agree on, and the first step.
    fn agree(&mut self) {
        let [Some(source), Some(destination)] = &self.known else { return };
        if self.spec.names_parameters() && self.parameters.iter().any(Option::is_none) {
            return;
        }
        let mut agreement = agree(&self.spec, source, destination);
        let parameters = self.parameters.each_ref().map(|known| known.as_deref().unwrap_or_default());
        agreement.missing.extend(missing_parameters(&self.spec, parameters));
        self.actions.extend(agreement.notes.into_iter().map(Action::Note));
        if !agreement.missing.is_empty() {
            return self.finish(MigrationResult::Failed, Some(agreement.missing.join("; ")));
        }
        self.blocktime = agreement.capabilities.get("postcopy-blocktime") == Some(&true);
        self.setup = steps(&self.spec, &agreement.capabilities, &self.uris).into();
        self.phase = Phase::Preparing;
        self.tell();
    }

    pub(super) fn done(&mut self, side: Side, command: &'static str, value: &Value) {
        match self.phase {
            Phase::Asking if command == CAPABILITIES => {
                self.known[index(side)] = Some(names(value));
                self.agree();
            }
            Phase::Asking if command == SCHEMA => {
                self.parameters[index(side)] = Some(arguments_of(SET_PARAMETERS, value));
                self.agree();
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
            Phase::Running => self.recovered(command),
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
