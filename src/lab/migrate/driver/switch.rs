//! The switch to post-copy: the guest is marked, QEMU is told, and only what QEMU then did is written down.

use super::postcopy::{Postcopy, START_POSTCOPY};
use super::{Driver, Phase};
use crate::lab::migrate::Action;
use crate::record::{Milestone, MilestoneName, Side};
use crate::units::Nanos;
use serde_json::Value;

/// How long the order may wait for the guest's mark.
const MARK_LIMIT: Nanos = Nanos::from_secs(2);
/// How long all writers of the guest take to take a mark up.
const TAKEN_UP: Nanos = Nanos::from_ms(50);

impl Driver {
    /// Asks for the guest's mark, the first time the moment for post-copy has come.
    pub(super) fn prepare_postcopy(&mut self) {
        let running = matches!(self.phase, Phase::Running);
        if running && self.postcopy == Postcopy::Not {
            self.postcopy = Postcopy::Held { since_ns: self.now_ns, marked_ns: None };
            self.actions.push(Action::Mark("post-copy is about to be ordered"));
        }
    }

    /// A mark arrived at `at_ns`.
    pub(super) fn marked(&mut self, at_ns: u64) {
        if let Postcopy::Held { since_ns, marked_ns } = &mut self.postcopy
            && at_ns >= *since_ns
        {
            marked_ns.get_or_insert(at_ns);
        }
    }

    /// Gives the order that waited for the mark, if the migration still runs.
    pub(super) fn release_postcopy(&mut self) {
        let Postcopy::Held { since_ns, marked_ns } = self.postcopy else { return };
        match self.phase {
            Phase::Running => {}
            Phase::Figures { .. } => return self.precopy_was_through(),
            _ => {
                self.postcopy = Postcopy::Not;
                return;
            }
        }
        let is_taken_up = marked_ns.is_some_and(|at_ns| self.elapsed_ns(at_ns) >= TAKEN_UP.0);
        if !is_taken_up && self.elapsed_ns(since_ns) < MARK_LIMIT.0 {
            return;
        }
        if marked_ns.is_none() {
            self.actions.push(Action::Note(format!(
                "the guest's mark did not come within {MARK_LIMIT}: post-copy was ordered without it, so which pages it \
                 had to fetch cannot be told"
            )));
        }
        self.postcopy = Postcopy::Ordered { at_ns: self.now_ns };
        self.execute(Side::Source, START_POSTCOPY, Value::Null);
    }

    /// The order that is held back comes too late: it is not given.
    pub(super) fn precopy_was_through(&mut self) {
        if let Postcopy::Held { .. } = self.postcopy {
            self.postcopy = Postcopy::Not;
            self.actions.push(Action::Note("pre-copy was through before post-copy was ordered".into()));
        }
    }

    /// QEMU did what it was told: now it is known that the order led to something.
    pub(super) fn postcopy_began(&mut self) {
        let host_ns = match self.postcopy {
            Postcopy::Active => return,
            Postcopy::Ordered { at_ns } => at_ns,
            Postcopy::Not | Postcopy::Held { .. } => self.now_ns,
        };
        self.postcopy = Postcopy::Active;
        self.actions.push(Action::Milestone(Milestone { name: MilestoneName::PostcopyStart, host_ns }));
    }

    /// QEMU refused the order.
    pub(super) const fn postcopy_refused(&mut self) {
        if let Postcopy::Ordered { .. } = self.postcopy {
            self.postcopy = Postcopy::Not;
        }
    }
}
