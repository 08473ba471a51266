//! What is done in the middle of a migration: each step of `migration.when`, once its conditions hold.

use super::middle::{PRE_SWITCHOVER, Recovery};
use super::postcopy::Postcopy;
use super::{Driver, Phase, index};
use crate::lab::migrate::{Action, MigrationResult, SET_PARAMETERS};
use crate::lab::scenario::{Deed, When};
use crate::record::Side;
use serde_json::{Value, json};

/// The command that makes a destination listen for a link to recover on.
const RECOVER: &str = "migrate-recover";
/// The command that shuts the sockets of a migration, whatever waits on them.
const CUT: &str = "yank";

impl Driver {
    /// Does what is due.
    pub(super) fn take_steps(&mut self) {
        if !matches!(self.phase, Phase::Running) {
            return;
        }
        let steps = std::mem::take(&mut self.middle.steps);
        let (due, later): (Vec<When>, Vec<When>) = steps.into_iter().partition(|step| self.is_due(step));
        self.middle.steps = later;
        for step in due {
            self.take_step(&step);
        }
        self.listen_anew();
    }

    fn is_due(&self, step: &When) -> bool {
        let status = self.last[index(Side::Source)].as_ref().and_then(|sample| sample.status.as_deref());
        step.pass.is_none_or(|pass| self.middle.passes.current >= pass)
            && step.after.is_none_or(|time| self.elapsed_ns(self.started_ns) >= time.0)
            && step.not_converging.is_none_or(|passes| self.middle.passes.stalled >= passes)
            && step.status.as_deref().is_none_or(|wanted| Some(wanted) == status)
            // Where there is to be a post-copy, its link is meant: a destination that does not yet run the guest cannot recover.
            // Without one, a guest that runs at the destination has no need of the link any more.
            && (step.deed != Deed::Cut || self.resumed == self.spec.may_postcopy())
    }

    fn take_step(&mut self, step: &When) {
        let at_s = self.elapsed_ns(self.started_ns) as f64 / 1e9;
        let mut note = |what: &str| {
            self.actions.push(Action::Note(format!("{at_s:.1} s after the start, when {step}, {what}")));
        };
        match step.deed {
            Deed::PostCopy => self.prepare_postcopy(),
            Deed::Pause if self.postcopy == Postcopy::Active => {
                note("the guest was at the destination already, and was not paused");
            }
            Deed::Pause => {
                note("the guest was paused");
                self.middle.paused = true;
                self.execute(Side::Source, "stop", Value::Null);
            }
            Deed::Cancel => {
                self.give_up(MigrationResult::Cancelled, format!("migration.when cancelled it when {step}"));
            }
            Deed::Cut if self.postcopy != Postcopy::Active && self.spec.may_postcopy() => {
                note("there was no post-copy whose link could be cut");
            }
            Deed::Cut if self.postcopy != Postcopy::Active => {
                note("the link was cut");
                self.execute(Side::Source, CUT, json!({ "instances": [{ "type": "migration" }] }));
            }
            Deed::Cut => {
                note("post-copy's link was cut");
                self.execute(Side::Source, "migrate-pause", Value::Null);
            }
            Deed::Recover => {
                note("post-copy was to go on over a new link");
                self.middle.recovery = Some(Recovery::AwaitsDestination);
            }
            Deed::Continue => {
                note("the migration was told to go on");
                self.execute(Side::Source, "migrate-continue", json!({ "state": PRE_SWITCHOVER }));
            }
            Deed::Set => {
                let parameters: Vec<String> =
                    step.parameters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                note(&format!("QEMU was told {}", parameters.join(", ")));
                self.execute(Side::Source, SET_PARAMETERS, json!(step.parameters));
            }
        }
    }

    /// Says which steps of the scenario it never came to.
    pub(super) fn tell_left_steps(&mut self) {
        let left = std::mem::take(&mut self.middle.steps);
        let own = left.iter().filter(|step| self.spec.when.contains(step));
        let told =
            own.map(|step| Action::Note(format!("a step of migration.when was never due: when {step}")));
        self.actions.extend(told);
    }

    /// Whether a post-copy that lost its link will go on.
    pub(super) fn will_recover(&self) -> bool {
        self.middle.recovery.is_some() || self.middle.steps.iter().any(|step| step.deed == Deed::Recover)
    }

    /// The destination said how it stands; one that has lost its link may say it by an event alone.
    pub(super) fn destination_stands(&mut self, status: &str) {
        self.middle.destination_paused = status == "postcopy-paused";
    }

    /// Has the destination listen anew, once it knows that its link is gone.
    fn listen_anew(&mut self) {
        if self.middle.destination_paused && self.middle.recovery == Some(Recovery::AwaitsDestination) {
            self.middle.recovery = Some(Recovery::Listens);
            let uri = self.uris.incoming.clone();
            self.execute(Side::Destination, RECOVER, json!({ "uri": uri }));
        }
    }

    /// QEMU did one thing of a recovery.
    pub(super) fn recovered(&mut self, command: &str) {
        match (self.middle.recovery, command) {
            (Some(Recovery::Listens), RECOVER) => {
                self.middle.recovery = Some(Recovery::Resumes);
                let uri = self.uris.outgoing.clone();
                self.execute(Side::Source, "migrate", json!({ "uri": uri, "resume": true }));
            }
            (Some(Recovery::Resumes), "migrate") => self.middle.recovery = None,
            _ => {}
        }
    }

    /// A guest that was paused goes on where it is now.
    pub(super) fn release_guest(&mut self, side: Side) {
        if std::mem::take(&mut self.middle.paused) {
            self.execute(side, "cont", Value::Null);
        }
    }
}
