//! The stages on the way to a goal.

use super::cycle::CycleDriver;
use super::observer::Observer;
use crate::lab::migrate::Driver;
use crate::units::{Nanos, Rate};

/// Where a VM stands on the way to its goal.
#[derive(Debug)]
pub(super) enum VmStage {
    /// There is no goal.
    Idle,
    /// Until the guest's first record.
    Booting { since_ns: u64, limit: Nanos },
    /// Until the baseline is over and the load steady.
    Baseline {
        since_ns: u64,
        /// The baseline's own length.
        length: Nanos,
        asked: Rate,
    },
    /// Until a guest that runs already is heard.
    Attaching { since_ns: u64, limit: Nanos },
    /// Until its load is steady, and then for the length of a baseline.
    Steadying { since_ns: u64, limit: Nanos, length: Nanos, steady_ns: Option<u64> },
    /// Until whoever migrates it is through.
    Observing { observer: Box<Observer> },
    /// Until it has looked at every page.
    Sweeping { since_ns: u64 },
    /// Until the migration's driver is through.
    Migrating { since_ns: u64, timeout: Nanos, driver: Box<Driver> },
    /// Until the guest was saved, restored and looked at.
    Cycling { driver: Box<CycleDriver> },
    /// Until the load is steady again.
    Settling { since_ns: u64, limit: Nanos },
    /// Until the guest's last record.
    Ending { since_ns: u64 },
    /// Until its QEMU is gone.
    PoweringOff { since_ns: u64 },
}

impl VmStage {
    /// In words.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Idle => "",
            Self::Booting { .. } => "booting",
            Self::Attaching { .. } => "waiting for the guest",
            Self::Steadying { steady_ns: None, .. } => "waiting for a steady load",
            Self::Baseline { .. } | Self::Steadying { .. } => "measuring the baseline",
            Self::Observing { observer } if observer.is_commanded() => "running the command",
            Self::Observing { .. } => "watching",
            Self::Sweeping { .. } => "looking at every page",
            Self::Migrating { .. } => "migrating",
            Self::Cycling { driver } => driver.step_name(),
            Self::Settling { .. } => "settling",
            Self::Ending { .. } | Self::PoweringOff { .. } => "ending",
        }
    }
}
