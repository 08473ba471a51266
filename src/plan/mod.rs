//! What is asked of a run, whichever way it was said, and the check that turns it into what will be done.

mod asked;
mod canary;
mod check;
mod clock;
mod content;
mod cpu_list;
#[cfg(feature = "host")]
mod excess;
mod fault;
mod file;
mod hotspot;
mod kind;
mod load;
mod memory;
mod number;
mod pace;
mod parameter;
mod parts;
mod pattern;
mod phase;
mod pinned;
mod pool;
mod region;
mod room;
mod table;
mod tables;
mod theta;
mod visit;
mod visits;
#[cfg(feature = "host")]
mod written;

pub use asked::Plan;
pub use canary::CanaryPeriod;
pub use check::{Checked, check, crowded};
pub use clock::ClockChoice;
pub use content::{ContentSpec, dedup_fault};
pub use cpu_list::CpuList;
pub use fault::{Fault, Faults};
pub use file::{PLAN_FILE_LIMIT, PlanFile, key_twice};
pub use hotspot::Hotspot;
pub use kind::{Backing, MemoryKind, Numa, PageSize};
pub use load::{Load, Ramp};
pub use memory::MemoryAmount;
pub use pace::{BacklogPolicy, PaceSpec};
#[cfg(test)]
pub(crate) use parameter::settings;
pub use parameter::{PARAMETERS, Parameter, Scope, Setting, ValueKind};
pub use pattern::PatternSpec;
pub use phase::{BASELINE_PHASE, PHASE_NAME_LIMIT, PhaseAsked, PlannedPhase, name_fault};
pub use pool::{HugePages, Machine, Node, Stock};
pub use region::{AccessOptions, PlannedRegion, RegionAsked, RegionShare};
pub(crate) use table::parameters;
#[cfg(test)]
pub(crate) use tables::{
    CANARY_TABLE_BYTES, LEDGER_BYTES, STACK_BYTES, STAMP_TABLE_BYTES, WRITER_TABLE_BYTES,
};
pub use theta::Theta;
pub use visit::{WORD_BYTES, is_write, on_or_off, write_bytes};
pub use visits::{VisitMix, at_odds, visit_rate};

#[cfg(test)]
mod tests;
