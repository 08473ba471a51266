//! What leads from one step of a cycle to the next.

use super::{CycleDriver, other, step::CycleStep, waits::VisitsAfter};
use crate::lab::run::driver::exchange::{Renewal, VmAction};
use crate::record::Command;
use serde_json::{Value, json};

impl CycleDriver {
    /// The last of some commands was obeyed.
    pub(super) fn ordered(&mut self) {
        match self.step {
            _ if self.outcome.is_some() => {}
            CycleStep::Asking => match self.plan.dirty_pages {
                Some(pages) => {
                    self.enter(CycleStep::Dirtying);
                    self.tell(Command::Dirty { id: Some(self.since_ns), pages });
                }
                None => self.stop(),
            },
            CycleStep::Stopping => {
                self.enter(CycleStep::Saving);
                let save = ("migrate", json!({ "uri": self.uris.save }));
                self.order(self.plan.prepared(save));
            }
            _ => {}
        }
    }

    pub(super) fn stop(&mut self) {
        self.enter(CycleStep::Stopping);
        self.order([("stop", Value::Null)].into());
    }

    /// QEMU has written or read the whole state.
    pub(super) fn transferred(&mut self, at_ns: u64) {
        let took_ns = at_ns.saturating_sub(self.ordered_ns);
        match (self.step, self.is_fork) {
            (CycleStep::Saving, _) => {
                self.figures.save_ns = Some(took_ns);
                self.renew();
                return;
            }
            (CycleStep::Restoring, true) => self.fork_restore_ns = took_ns,
            (CycleStep::Restoring, false) => self.figures.restore_ns = Some(took_ns),
            _ => return,
        }
        self.enter(CycleStep::Resuming);
        // It was stopped when it was saved.
        self.order([("cont", Value::Null)].into());
    }

    fn renew(&mut self) {
        self.orders.clear();
        self.enter(CycleStep::Renewing);
        self.actions.push(VmAction::Renew { side: self.target });
    }

    pub(super) fn renewed(&mut self, result: &Result<Renewal, String>) {
        if !self.is_renewing() {
            return;
        }
        match result {
            Err(why) => self.fail(why),
            Ok(file) => {
                (self.figures.file_bytes, self.figures.stored_bytes) = (file.file_bytes, file.stored_bytes);
                self.enter(CycleStep::Restoring);
                let restore = ("migrate-incoming", json!({ "uri": self.uris.restore }));
                self.order(self.plan.prepared(restore));
            }
        }
    }

    /// The guest goes on.
    pub(super) fn resumed(&mut self, at_ns: u64) {
        self.resumed_ns = at_ns;
        if self.is_fork {
            self.sweep();
            return;
        }
        let baseline_p99_ns = self.before.baseline.response_p99(self.before.facts.clock_step_ns).ok();
        self.visits = VisitsAfter::new(self.before.facts.visited_pages, baseline_p99_ns);
        self.enter(CycleStep::Watching);
        self.tell(Command::Phase { id: None, name: self.plan.phase() });
        if self.plan.dirty_pages.is_some() {
            self.tell(Command::Resume { id: None });
        }
    }

    /// The visits after the restore have told what they can.
    pub(super) fn watched(&mut self) {
        let step_ns = self.before.facts.clock_step_ns;
        let first = match &self.plan.no_first_touch {
            Some(why) => Err(why.clone()),
            None => self.visits.first_touch(step_ns),
        };
        let paid = first.as_ref().map_err(Clone::clone).and_then(|_| {
            self.visits.paid(&self.before.baseline, step_ns, self.figures.restore_ns.unwrap_or(0))
        });
        let recovered = self.before.baseline.response_p99(step_ns).and_then(|_| {
            let at_ns = self.visits.recovered_at_ns(self.plan.settle)?;
            Ok(at_ns.saturating_sub(self.resumed_ns))
        });
        let lacking = first.is_ok().then(|| self.visits.lacking()).flatten();
        let figures = &mut self.figures;
        (figures.first_touch, figures.first_touch_reason) = told(first);
        figures.first_touch_reason = figures.first_touch_reason.take().or(lacking);
        (figures.paid, figures.paid_reason) = told(paid);
        (figures.recover_ns, figures.recover_reason) = told(recovered);
        if self.plan.verifies { self.sweep() } else { self.end_or_fork() }
    }

    fn sweep(&mut self) {
        self.enter(CycleStep::Sweeping);
        self.tell(Command::Sweep { id: None });
    }

    pub(super) fn end_or_fork(&mut self) {
        if self.plan.forks < 2 {
            self.outcome = Some(Ok(()));
            return;
        }
        // Where the first guest was saved there is room.
        (self.is_fork, self.target) = (true, other(self.target));
        self.renew();
    }
}

/// A figure, or why there is none.
fn told<T>(found: Result<T, String>) -> (Option<T>, Option<String>) {
    match found {
        Ok(value) => (Some(value), None),
        Err(why) => (None, Some(why)),
    }
}
