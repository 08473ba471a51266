//! Why a run could not begin.

use crate::engine::EngineError;
use crate::plan::Faults;
use crate::port::PortError;
use crate::probe::ProbeError;

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan cannot be carried out on this machine.
    #[error(transparent)]
    Plan(#[from] Faults),
    /// A report target cannot be opened.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The machine cannot be read, or the engine cannot start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The machine's facts cannot be read.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The kernel refuses what every run needs.
    #[error("signals cannot be taken over: {0}")]
    Signals(#[from] nix::Error),
    /// It was ended before it began.
    #[error("{0} came while the memory was being filled: nothing was measured")]
    Ended(&'static str),
}

impl RunError {
    /// Whether another plan would do on this machine.
    pub const fn is_of_the_plan(&self) -> bool {
        matches!(self, Self::Plan(_) | Self::Engine(EngineError::NoCounter | EngineError::CounterWithoutPace))
    }
}
