//! How far a migration has come with what is done in its middle.

use crate::lab::scenario::When;
use crate::record::MigrationSample;

/// The status of a migration whose guest stands and waits for the word to be switched over.
pub(super) const PRE_SWITCHOVER: &str = "pre-switchover";

/// How the passes of pre-copy follow each other, by QEMU's syncs of its dirty bitmap: under auto-converge QEMU from 9.2 on makes one
/// within a pass, too, every 5 s, and neither its answers nor its events tell it from one between passes.
#[derive(Debug, Default)]
pub(super) struct Passes {
    /// The one under way, as QEMU counts.
    pub(super) current: u64,
    /// The last one that told how much it had left to send at its beginning, and how much.
    begun: Option<(u64, u64)>,
    /// How many in a row had no less than the one before.
    pub(super) stalled: u64,
}

impl Passes {
    /// A pass has begun.
    pub(super) fn reach(&mut self, pass: u64) {
        self.current = self.current.max(pass);
    }

    /// What an answer of the source says of them.
    pub(super) fn take(&mut self, sample: &MigrationSample) {
        let Some(ram) = &sample.ram else { return };
        let (Some(pass), Some(left)) = (ram.dirty_sync_count, ram.remaining_bytes) else { return };
        self.reach(pass);
        match self.begun {
            Some((before, _)) if pass <= before => return,
            Some((_, left_before)) if left >= left_before => self.stalled += 1,
            _ => self.stalled = 0,
        }
        self.begun = Some((pass, left));
    }
}

/// How far the recovery of a post-copy that was cut has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    /// The destination has yet to find that its link is gone.
    AwaitsDestination,
    /// The destination was told to listen anew.
    Listens,
    /// The source was told to go on.
    Resumes,
}

/// What is done while a migration runs, and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Middle {
    /// What is still to be done.
    pub(super) steps: Vec<When>,
    pub(super) passes: Passes,
    pub(super) recovery: Option<Recovery>,
    /// The destination has lost the link of post-copy.
    pub(super) destination_paused: bool,
    /// The guest was paused to let it through.
    pub(super) paused: bool,
}

impl Middle {
    /// Nothing is done yet.
    pub(super) fn new(steps: Vec<When>) -> Self {
        Self { steps, ..Self::default() }
    }

    /// Whether a step waits for a migration that does not converge.
    pub(super) fn watches_convergence(&self) -> bool {
        self.steps.iter().any(|step| step.not_converging.is_some())
    }
}
