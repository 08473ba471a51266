//! What a monitor of a VM has to tell, whichever kind it is of.

use crate::lab::run::vm::VmEvent;
use crate::record::Accelerator;

/// A monitor that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorFacts {
    /// What it is called: its socket.
    pub name: String,
    /// QEMU's version as it says it; empty where it does not.
    pub version: String,
    /// How the guest's CPUs are run.
    pub accelerator: Option<Accelerator>,
}

/// What a monitor has to tell.
pub enum MonitorNews {
    /// Something happened to the VM.
    Happened(VmEvent),
    /// It answers.
    Answers(MonitorFacts),
    /// It is of no use at present.
    Trouble {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
}
