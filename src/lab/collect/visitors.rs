//! Guests that come by themselves: each connection is one, and the session tells who it is.

use super::findings::{Findings, Trouble};
use super::vm::Vm;

/// The most directories that all of them may bring together.
const DIRS_LIMIT: usize = 4096;

/// What is known of all of them.
#[derive(Debug, Default)]
pub struct Visitors {
    /// How many came.
    pub came: u64,
    /// How many were not let in.
    pub turned_away: u64,
    dirs: usize,
    /// Connections that ended without a record.
    mute: u64,
    /// What went wrong with those that are no longer remembered.
    trouble: Trouble,
}

impl Visitors {
    /// Whether `vm` may bring another directory.
    pub fn may_bring(&mut self, vm: &Vm) -> bool {
        self.dirs += usize::from(vm.is_visitor);
        !vm.is_visitor || self.dirs <= DIRS_LIMIT
    }

    /// One of them is no longer remembered.
    pub fn forget(&mut self, vm: &Vm) {
        self.trouble.refused += vm.trouble.refused;
        self.mute += u64::from(vm.view.session.is_none());
    }

    /// Says what came of them. A stranger is nobody's loss.
    pub fn conclude(&self, findings: &mut Findings) {
        if self.turned_away > 0 {
            findings.notes.push(format!(
                "{} connections were turned away: without the token, or too many",
                self.turned_away
            ));
        }
        if self.mute > 0 {
            findings.notes.push(format!("{} connections that came brought no record", self.mute));
        }
        if self.trouble.refused > 0 {
            findings.faults.push(format!(
                "{} records were not kept: guests that came brought too many sessions",
                self.trouble.refused
            ));
        }
    }
}
