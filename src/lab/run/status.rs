//! What a run tells whoever watches it, and how it is interrupted.

use crate::record::MigrationSample;
use tokio::sync::watch;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Status {
    /// What it is doing.
    pub step: &'static str,
    /// Page visits a second the guest achieved in its last interval.
    pub achieved_pages_per_s: Option<u64>,
    /// QEMU's last answer about the migration.
    pub sample: Option<MigrationSample>,
}

impl Status {
    /// A step of which nothing more is known.
    pub fn step(step: &'static str) -> Self {
        Self { step, ..Self::default() }
    }
}

/// Whoever watches a run.
pub struct Watch<'a> {
    /// Is told about ten times a second.
    pub on_status: &'a mut dyn FnMut(&Status),
    /// Becomes true when the run has to end at once.
    pub interrupt: watch::Receiver<bool>,
}

impl Watch<'_> {
    /// Tells how the run stands.
    pub fn show(&mut self, status: &Status) {
        (self.on_status)(status);
    }
}
